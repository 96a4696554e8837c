"""The curvature-regularised inversion: its evidence is the Gaussian integral, its image the ridge solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skyscore.baselines.curvature import curvature, invert, log_evidence

SHAPE = (6, 5)


def problem(seed: int = 0):
    """A smooth image, an operator with fewer data than pixels, noise of unequal deviation."""
    g = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.linspace(-1, 1, n, dtype=torch.float64) for n in SHAPE), indexing="ij")
    image = 3 * torch.exp(-2 * (x**2 + y**2))
    A = torch.randn(24, 30, generator=g, dtype=torch.float64)
    std = 0.3 + torch.rand(24, generator=g, dtype=torch.float64)
    data = A @ image.flatten() + std * torch.randn(24, generator=g, dtype=torch.float64)
    return image, A, std, data


def direct(strength: float, A, std, data) -> float:
    """log N(y; 0, Sigma + A (lambda R)^-1 A')."""
    C = torch.diag(std**2) + A @ torch.linalg.inv(strength * curvature(SHAPE)) @ A.T
    law = torch.distributions.MultivariateNormal(torch.zeros(len(data), dtype=torch.float64), C)
    return float(law.log_prob(data))


def test_curvature_is_the_sum_of_squared_second_differences():
    image = np.random.default_rng(0).standard_normal(SHAPE)
    padded = np.pad(image, 1)
    second = [np.diff(padded, 2, axis=axis) for axis in (0, 1)]
    expected = (second[0][:, 1:-1] ** 2).sum() + (second[1][1:-1] ** 2).sum()
    s = torch.from_numpy(image).flatten()
    assert float(s @ curvature(SHAPE) @ s) == pytest.approx(expected)


def test_evidence_is_the_integral_over_images():
    _, A, std, data = problem()
    G, b = A.T @ torch.diag(std**-2) @ A, A.T @ (data / std**2)
    L = torch.linalg.cholesky(curvature(SHAPE))
    gain, Q = torch.linalg.eigh(torch.linalg.solve(L, torch.linalg.solve(L, G).T))
    c = Q.T @ torch.linalg.solve(L, b)
    constant = -0.5 * float((data / std).square().sum() + (2 * torch.pi * std**2).log().sum())
    for strength in (1e-3, 0.1, 10.0):
        found = log_evidence(strength, gain.clamp_min(0), c) + constant
        assert found == pytest.approx(direct(strength, A, std, data), abs=1e-8)


def test_strength_maximises_the_evidence_and_the_image_is_the_ridge_solution():
    image, A, std, data = problem()
    G, b = A.T @ torch.diag(std**-2) @ A, A.T @ (data / std**2)
    found = invert(G, b, SHAPE)
    best = direct(found.strength, A, std, data)
    assert all(best >= direct(found.strength * f, A, std, data) for f in (0.2, 0.5, 0.9, 1.1, 2.0, 5.0))
    ridge = torch.linalg.solve(G + found.strength * curvature(SHAPE), b).reshape(SHAPE)
    assert np.allclose(found.image, ridge.numpy(), atol=1e-9)
    assert np.corrcoef(found.image.ravel(), image.numpy().ravel())[0, 1] > 0.9


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit an image"):
        invert(torch.eye(4), torch.zeros(4), (3, 3))
