"""The Sersic fit: the profile's shape, and parameters that come back through a forward model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skyscore.baselines.sersic import fit_sersic, sersic
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator

SHAPE = (12, 12)
TRUTH = np.array([0.1, -0.15, np.log(0.3), 1.5, 0.2, 0.1])


def spectrum_of(image: np.ndarray, noise: float, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    A = torch.randn(200, image.size, generator=g, dtype=torch.float64) / 10
    y = A @ torch.from_numpy(image).flatten()
    y = y + noise * torch.randn(len(y), generator=g, dtype=torch.float64)
    return GaussianLikelihood(MatrixOperator(A), y, noise).spectrum()


def test_half_of_the_light_lies_within_the_effective_radius():
    fine = sersic(np.array([0, 0, np.log(0.2), 1.0, 0.0, 0.0]), (80, 80))
    y, x = (np.mgrid[:80, :80] + 0.5) / 40 - 1
    assert fine[np.hypot(x, y) < 0.2].sum() / fine.sum() == pytest.approx(0.5, abs=0.02)


def test_axis_ratio_and_angle():
    """e = (1 - q) / (1 + q): second moments along the axes are in the ratio q^2."""
    phi, q = 0.6, 0.5
    e = (1 - q) / (1 + q)
    image = sersic(np.array([0, 0, np.log(0.2), 1.0, e * np.cos(2 * phi), e * np.sin(2 * phi)]), (80, 80))
    y, x = (np.mgrid[:80, :80] + 0.5) / 40 - 1
    u, v = np.cos(phi) * x + np.sin(phi) * y, -np.sin(phi) * x + np.cos(phi) * y
    assert (image * v**2).sum() / (image * u**2).sum() == pytest.approx(q**2, rel=0.1)
    assert abs((image * u * v).sum()) < 0.02 * (image * u**2).sum()


def test_parameters_come_back():
    image = 2.0 * sersic(TRUTH, SHAPE)
    fit = fit_sersic(spectrum_of(image, 0.003), SHAPE)
    assert np.allclose(fit.parameters, TRUTH, atol=0.05)
    assert fit.amplitude == pytest.approx(2.0, rel=0.05)
    assert np.abs(fit.image - image).max() < 0.02 * image.max()
    assert fit.chi2 < 200  # of 144 coefficients
