"""Galaxies: invariances of the simulator."""

import numpy as np
import pytest
import torch

from skyscore.simulate import galaxies, rendered
from skyscore.simulate.galaxies import Galaxies


def binned(x, factor):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // factor, factor, w // factor, factor).mean((3, 5))


def test_pixels_integrate_surface_brightness():
    """The same galaxies on twice the pixels, averaged 2 x 2, are those on the coarse ones."""
    fine, coarse = Galaxies.simulate(40, 64, seed=3), Galaxies.simulate(40, 32, seed=3)
    error = np.sqrt(((binned(fine, 2) - coarse) ** 2).mean() / (coarse**2).mean())
    assert error < 0.02
    flux = fine.sum((1, 2, 3)) / 4 / coarse.sum((1, 2, 3))
    assert np.abs(flux - 1).max() < 0.01


def test_brightness_is_positive_with_peaks_of_order_one():
    x = Galaxies.simulate(200, 32, seed=0)
    assert x.dtype == np.float32 and x.shape == (200, 1, 32, 32)
    assert (x >= 0).all() and np.isfinite(x).all()
    assert 0.5 < np.median(x.max((1, 2, 3))) < 3


def test_same_seed_same_galaxies_in_any_chunks(monkeypatch):
    a, b = Galaxies.simulate(20, 16, seed=1), Galaxies.simulate(20, 16, seed=1)
    assert np.array_equal(a, b)
    assert not np.allclose(a, Galaxies.simulate(20, 16, seed=2))
    monkeypatch.setattr(rendered, "AT_ONCE", 7 * (rendered.OVERSAMPLE * 16) ** 2)
    assert np.allclose(a, Galaxies.simulate(20, 16, seed=1))


def test_clumps_are_gaussians_in_the_plane_of_the_disk():
    drawn = Galaxies.draw(3, Galaxies.completed({}), np.random.default_rng(3))
    p = {k: torch.as_tensor(v, dtype=torch.float64) for k, v in drawn.items()}
    axis = torch.linspace(-1, 1, 24, dtype=torch.float64)
    light = galaxies.clumps(p, axis.expand(3, 24), axis.expand(3, 24))
    for n, found in enumerate(light):
        one = {k: v[n] for k, v in p.items()}
        c, s = torch.cos(one["pa"]), torch.sin(one["pa"])
        u, v = (
            c * axis + s * axis[:, None],
            -s * axis + c * axis[:, None],
        )  # along the major and the minor axis
        r = one["clump_r"] * one["R"] / 1.678
        x, y = r * torch.cos(one["clump_t"]), r * torch.sin(one["clump_t"]) * one["q"]
        d2 = (u[..., None] - x) ** 2 + (v[..., None] - y) ** 2
        s2 = one["clump_s"] ** 2
        each = one["clump_f"] / (2 * np.pi * s2) * torch.exp(-0.5 * d2 / s2)
        assert torch.allclose(found, each.sum(-1), rtol=1e-10)
    assert light.max() > 0


def parameters(**changes):
    """One plain exponential disk: no bulge, arms or clumps, in the middle."""
    p = Galaxies.draw(1, Galaxies.completed({}), np.random.default_rng(0))
    plain = {"x": 0, "y": 0, "B": 0, "kappa": 0, "q": 1, "R": 0.3, "log_peak": 0, "pa": 0}
    p |= {k: np.array([float(v)]) for k, v in {**plain, **changes}.items()}
    p["clump_f"] = np.zeros_like(p["clump_f"])
    return {k: torch.as_tensor(v, dtype=torch.float32) for k, v in p.items()}


def test_half_light_radius_of_a_face_on_disk():
    image = Galaxies.render(parameters(), 128)[0, 0].numpy()
    axis = (np.arange(128) + 0.5) / 64 - 1
    inside = np.hypot(axis, axis[:, None]) < 0.3
    # the field cuts the outer disk: 1 - (1 + R/h) e^(-R/h) within the circle of radius 1, its corners a little more
    h = 0.3 / 1.678
    whole = 1 - (1 + 1 / h) * np.exp(-1 / h)
    assert abs(image[inside].sum() / image.sum() - 0.5 / whole) < 0.02


def test_axis_ratio_and_position_angle():
    image = Galaxies.render(parameters(q=0.4, pa=np.pi / 2), 64)[0, 0].numpy().astype(float)
    axis = (np.arange(64) + 0.5) / 32 - 1
    x2, y2 = (image * axis**2).sum() / image.sum(), (image * axis[:, None] ** 2).sum() / image.sum()
    assert np.sqrt(x2 / y2) == pytest.approx(0.4, abs=0.05)  # long along y


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="clumpz"):
        Galaxies.simulate(1, 32, {"clumpz": 1})
    with pytest.raises(ValueError, match="16 or more"):
        Galaxies.simulate(1, 8)
    assert set(Galaxies.completed({})) >= {"sersic_index", "axis_ratio", "arm_strength", "clumps"}
