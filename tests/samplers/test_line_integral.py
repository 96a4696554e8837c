"""Metropolis tests without densities: line integrals of scores, and MALA on them, against closed forms."""

import pytest
import torch

from skyscore.samplers.chains.line_integral import integrate, line_integral
from skyscore.samplers.chains.mala import mala


def points(n, d, seed):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(d=3):
    """An anisotropic, correlated Gaussian: its log density, score, mean and covariance."""
    B = points(d, d, 7)
    C, mean = B @ B.T + 0.1 * torch.eye(d).double(), torch.arange(d).double()
    P = torch.linalg.inv(C)
    return lambda x: -0.5 * ((x - mean) @ P * (x - mean)).sum(1), lambda x: (mean - x) @ P, mean, C


@pytest.mark.parametrize("steps", [1, 3])
def test_a_gaussian_difference_is_exact(steps):
    log_prob, score, *_ = gaussian()
    a, b = points(50, 3, 0), 3 * points(50, 3, 1)
    assert torch.allclose(line_integral(score, a, b, steps), log_prob(b) - log_prob(a), atol=1e-10)


def test_simpson_is_of_fourth_order():
    """A Student-t density: halving the panels divides the error by about sixteen."""
    a, b = points(200, 2, 0), points(200, 2, 1)

    def log_prob(x):
        return -3 * (1 + x.square().sum(1) / 5).log()

    def score(x):
        return -6 / 5 * x / (1 + x.square().sum(1, keepdim=True) / 5)

    errors = [
        float((line_integral(score, a, b, k) - log_prob(b) + log_prob(a)).square().mean().sqrt())
        for k in (2, 4, 8)
    ]
    assert errors[1] / errors[2] == pytest.approx(16, rel=0.3) and errors[0] / errors[1] > 8


def test_images_of_any_shape_and_the_score_at_the_end():
    a, b = torch.randn(4, 1, 5, 5).double(), torch.randn(4, 1, 5, 5).double()
    difference, end = integrate(torch.neg, a, b, -a, 1)
    assert difference.shape == (4,) and torch.allclose(end, -b)
    assert torch.allclose(difference, 0.5 * (a**2 - b**2).flatten(1).sum(1))
    with pytest.raises(ValueError, match="at least 1"):
        line_integral(torch.neg, a, b, 0)


@pytest.mark.parametrize("known", [False, True])
def test_mala_draws_a_gaussian(known):
    """Mean and covariance from the score alone, and from the density, with a mass matrix that is only roughly right."""
    log_prob, score, mean, C = gaussian()
    rough = torch.linalg.cholesky(C + 0.2 * C.diagonal().diag())
    g = torch.Generator().manual_seed(0)
    start = mean + points(400, 3, 2) @ rough.T
    chains = mala(
        score,
        start,
        steps=600,
        burn=200,
        mass=rough,
        thin=5,
        log_prob=log_prob if known else None,
        generator=g,
    )
    x = chains.x.reshape(-1, 3)
    error = (x.mean(0) - mean) / C.diagonal().sqrt()
    assert chains.x.shape == (120, 400, 3) and error.abs().max() < 0.03
    assert torch.allclose(x.T.cov() / C, torch.ones(3, 3).double(), atol=0.06)
    assert 0.5 < float(chains.acceptance.mean()) < 0.65
    assert chains.evaluations == 1 + (1 if known else 2) * 800


def test_the_metropolis_test_removes_the_bias_of_a_long_step():
    """A step at which unadjusted Langevin would widen a unit Gaussian by a half leaves its variance at one."""
    g = torch.Generator().manual_seed(0)
    chains = mala(torch.neg, points(2000, 1, 0), steps=100, burn=0, step=1.4, thin=10, generator=g)
    assert float(chains.x.var()) == pytest.approx(1, abs=0.03)


def test_walls_are_not_crossed():
    """Where the score is not finite a proposal is refused: a half-normal stays on its side."""

    def score(x):
        return torch.where(x > 0, -x, torch.nan)

    g = torch.Generator().manual_seed(0)
    chains = mala(score, torch.ones(500, 1).double(), steps=400, burn=50, step=0.5, thin=10, generator=g)
    assert bool((chains.x > 0).all())
    assert float(chains.x.mean()) == pytest.approx((2 / torch.pi) ** 0.5, abs=0.03)
    with pytest.raises(FloatingPointError, match="start"):
        mala(score, -torch.ones(2, 1), steps=5, burn=0)
    with pytest.raises(ValueError, match="mala: x"):
        mala(score, torch.ones(2), steps=5, burn=0)
