"""CLEAN: units, the restoring beam, point sources recovered."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from skyscore.baselines.clean import Beam, clean, dirty_image, fit_beam, hogbom
from skyscore.operators.interferometry import Interferometer, to_complex
from skyscore.simulate.tracks import spiral_array, uv_tracks
from skyscore.units import ARCSEC

SCALE, SIDE = 0.1, 32


@pytest.fixture(scope="module")
def uv() -> np.ndarray:
    return uv_tracks(spiral_array(24, 1000.0), -23.0, -35.0, np.linspace(-2, 2, 7), 240.0)


def observe(x: np.ndarray, uv: np.ndarray, sigma: float = 0.0, seed: int = 0) -> np.ndarray:
    V = to_complex(Interferometer(uv, x.shape, SCALE)(torch.from_numpy(x)[None, None]))[0].numpy()
    g = np.random.default_rng(seed)
    return V + sigma * (g.standard_normal(len(V)) + 1j * g.standard_normal(len(V)))


def test_beam_area_and_smoothing():
    """A Gaussian beam's area is its integral; smoothing keeps the flux and spreads a point to the beam."""
    beam = Beam(0.6, 0.4, 0.7)
    assert abs(beam.pixels(0.1) - np.pi * 6 * 4 / (4 * np.log(2))) < 1e-9
    point = np.zeros((41, 41))
    point[20, 20] = 1.0
    smooth = beam.smooth(point, 0.1)
    assert abs(smooth.sum() - 1) < 1e-9 and abs(smooth.max() * beam.pixels(0.1) - 1) < 0.01
    y, x = (np.mgrid[:41, :41] - 20) * 0.1
    second = np.array([[np.sum(smooth * a * b) for b in (x, y)] for a in (x, y)])
    values, vectors = np.linalg.eigh(second)
    assert np.allclose(np.sqrt(8 * math.log(2) * values), [0.4, 0.6], rtol=0.01)
    assert abs(math.atan2(vectors[1, 1], vectors[0, 1]) % np.pi - 0.7) < 0.02


def test_restoring_beam_of_gaussian_coverage():
    """Gaussian coverage of variance s_u^2 along u has a dirty beam exp(-2 pi^2 s_u^2 l^2): east-west is narrower."""
    g, s = np.random.default_rng(0), np.array([4e5, 2e5])
    uv = g.standard_normal((40000, 2)) * s
    beam = fit_beam(uv, np.ones(len(uv)))
    expected = math.sqrt(8 * math.log(2)) / (2 * np.pi * s) / ARCSEC
    assert abs(beam.minor / expected[0] - 1) < 0.02 and abs(beam.major / expected[1] - 1) < 0.02
    assert abs(beam.angle - np.pi / 2) < 0.02


def test_dirty_image_of_a_point_source_has_its_flux_at_its_place(uv):
    x = np.zeros((SIDE, SIDE))
    x[20, 9] = 0.3
    dirty = dirty_image(observe(x, uv), uv, np.ones(len(uv)), x.shape, SCALE)
    assert abs(dirty[20, 9] - 0.3) < 1e-8 and dirty.argmax() == 20 * SIDE + 9


def test_point_sources_are_recovered(uv):
    """Each flux in its own pixel but for the noise and for what the threshold leaves; the restored image is theirs at
    the beam, where Jy per beam are Jy."""
    x = np.zeros((SIDE, SIDE))
    fluxes = {(16, 16): 1.0, (8, 22): 0.5, (25, 9): 0.3}
    for place, flux in fluxes.items():
        x[place] = flux
    sigma = 0.2
    found = clean(observe(x, uv, sigma), uv, np.full(len(uv), sigma**-2), x.shape, SCALE)
    rms = sigma / math.sqrt(len(uv))
    for (i, j), flux in fluxes.items():
        assert abs(found.model[i, j] - flux) < 0.02 * flux + (3 + 3) * rms
        assert abs(found.restored[i, j] - flux) < 0.03 * flux + 4 * rms
    rest = found.model.copy()
    for place in fluxes:
        rest[place] = 0
    assert np.abs(rest).sum() < 0.05 * x.sum()
    assert np.abs(found.residual).max() < 6 * rms and found.iterations < 5000
    expected = found.beam.pixels(SCALE) * found.beam.smooth(x, SCALE)
    assert np.abs(found.restored - expected).max() < 0.05


def test_units_of_an_extended_source(uv):
    """The restored image over the pixels of its beam has the flux of the sky."""
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    sky = np.exp(-(x**2 + y**2) / (2 * 3.0**2))
    sky /= sky.sum()
    found = clean(observe(sky, uv, 0.01), uv, np.ones(len(uv)), sky.shape, SCALE)
    per_pixel = found.restored / found.beam.pixels(SCALE)
    assert abs(per_pixel.sum() - 1) < 0.1
    smooth = found.beam.smooth(sky, SCALE)
    assert np.sqrt(np.mean((per_pixel - smooth) ** 2) / np.mean(smooth**2)) < 0.1


def test_loop_ends_at_its_limit():
    beam = np.zeros((5, 5))
    beam[2, 2] = 1.0
    dirty = np.array([[0.0, 0.1, 0.0], [0.0, 1.0, -0.1], [0.05, 0.0, 0.0]])
    model, residual, taken = hogbom(dirty, beam, 0.5, 0.0, 3)
    assert taken == 3 and np.allclose(model + residual, dirty) and model[1, 1] == 0.875
