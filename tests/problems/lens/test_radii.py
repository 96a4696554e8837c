"""Lenses of any size: arcs are looked for as far out as the fit reaches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from skyscore.problems.lens.files import Imaging
from skyscore.problems.lens.model import ARC_START, _arc_light, fit_lens
from skyscore.problems.lens.observed import assemble
from skyscore.problems.lens.problem import LensProblem
from skyscore.sky.noise import SkyNoise
from tests.helpers.observer import blob, grid

SCALE, FINE, SIDE = 0.15, 5, 91
NOISE = SkyNoise(0.01, np.ones((1, 1)), 2000.0, 1.0, 0.0, 1000, np.ones((1, 1)))


def ring(radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Image of a round isothermal lens with its light, in front of a Gaussian galaxy; and the point-spread function."""
    x, y = grid(SIDE * FINE, SCALE / FINE)
    r = np.hypot(x, y).clip(1e-6)
    arcs = 0.6 * blob(x * (1 - radius / r) - 0.12, y * (1 - radius / r) - 0.06, 0.25)
    light = sum(a * blob(x, y / 0.85, s) for a, s in ((1.5, 0.3), (0.3, 0.8)))
    psf = blob(*grid(7, SCALE), 0.12)
    image = (arcs + light).reshape(SIDE, FINE, SIDE, FINE).mean((1, 3))
    clean = fftconvolve(image, psf / psf.sum(), "same")
    noise = NOISE.deviation(clean) * np.random.default_rng(3).standard_normal(clean.shape)
    return clean + noise, psf / psf.sum()


@pytest.mark.parametrize(
    ("radius", "settings"), [(3.6, {"fit_radius": 4.8, "annulus": [1.0, 4.6]}), (1.2, {})]
)
def test_a_ring_is_fitted(radius, settings):
    """The Einstein radius is found within four of its standard errors; the defaults do for one of 1.2 arcsec."""
    s = LensProblem.completed({"pixel_scale": SCALE, **settings})
    image, psf = ring(radius)
    good = np.ones(image.shape, bool)
    model = fit_lens(image, good, NOISE, psf, SCALE, radius=s["fit_radius"], slope="isothermal", starts=1,
                     coarse_pixels=16, fine_pixels=0)  # fmt: skip
    found, error = float(model.fit.theta[0]), float(model.fit.theta_error[0])
    assert 0 < error < 0.01
    assert found == pytest.approx(radius, abs=4 * error)
    assert 0.75 < model.fit.chi2 < 1.1  # of pixels, of which the source and the light take some
    _, attrs = assemble(s, Imaging(image, NOISE.deviation(image), psf, good), NOISE, model, 16)
    assert attrs["numbers"]["critical_area_radius_arcsec"] == pytest.approx(radius, rel=0.01)


@pytest.mark.parametrize(("radius", "end"), [(2.3, 3.0), (3.0, 3.0), (4.8, 4.8)])
def test_where_light_is_taken_for_arcs(radius, end):
    """To 3 arcsec with the default settings and smaller ones, as ever; to the radius of the fit beyond."""
    side, scale = 121, 0.1
    bright = torch.ones(side, side, dtype=torch.float64)
    arcs = _arc_light(bright, 0.1 * bright, scale, radius)
    r = np.hypot(*(np.mgrid[:side, :side] - side // 2)) * scale
    assert np.array_equal(arcs.numpy() > 0, (r > ARC_START) & (r < end))
    assert not _arc_light(bright, 0.3 * bright, scale, radius).any()  # not above five standard deviations
