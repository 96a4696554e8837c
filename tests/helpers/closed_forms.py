"""Posteriors in closed form: small problems, a call that draws from them, and what samples are held against."""

from __future__ import annotations

import math

import numpy as np
import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior, GaussianPrior
from skyscore.samplers import sample

Y, NOISE = 2.0, 0.5  # observation and noise variance of the one-dimensional problem
SIZE = 40_000


def scalar_problem(P, dtype=torch.float64):
    """One number of prior variance P, observed once with the noise variance `NOISE`."""
    likelihood = GaussianLikelihood(
        MatrixOperator(torch.eye(1, dtype=dtype)), torch.tensor([Y], dtype=dtype), math.sqrt(NOISE)
    )
    return GaussianPrior(torch.zeros(1, dtype=dtype), torch.full((1, 1), P, dtype=dtype)), likelihood


def gaussian_problem(noise=(0.3, 0.8)):
    """Three correlated pixels, two of their combinations observed, with noise of two widths."""
    g = torch.Generator().manual_seed(3)
    R = torch.randn(3, 3, generator=g, dtype=torch.float64)
    prior = GaussianPrior(
        torch.tensor([0.5, -1.0, 0.2]).double(), R @ R.T / 3 + 0.1 * torch.eye(3, dtype=torch.float64)
    )
    A = torch.randn(2, 3, generator=g, dtype=torch.float64)
    y = torch.tensor([0.7, -0.4], dtype=torch.float64)
    return prior, GaussianLikelihood(MatrixOperator(A), y, torch.tensor(noise, dtype=torch.float64))


def bimodal(y=-0.5):
    """A prior of two modes in one dimension, observed with noise of variance 1."""
    prior = GaussianMixturePrior(
        torch.tensor([0.3, 0.7]).double(),
        torch.tensor([[-2.0], [1.5]]).double(),
        torch.tensor([[[0.09]], [[0.25]]]).double(),
    )
    return prior, GaussianLikelihood(MatrixOperator(torch.eye(1).double()), torch.tensor([y]).double(), 1.0)


def run(name, prior, likelihood, n=SIZE, seed=0, **options):
    """`n` samples in one batch, by a seed."""
    return sample(
        name, prior, likelihood, n, generator=torch.Generator().manual_seed(seed), batch=n, **options
    )


def exact(P):
    """Mean and variance of the posterior of `scalar_problem`."""
    return Y * P / (P + NOISE), P * NOISE / (P + NOISE)


def assert_moments(x, mean, variance, slack=0.01):
    """Mean and variance within 5 standard errors plus `slack` (relative; of the standard deviation for the mean)."""
    n, sd = len(x), math.sqrt(variance)
    assert abs(float(x.mean()) - mean) < (5 / math.sqrt(n) + slack) * sd
    assert abs(float(x.var()) / variance - 1) < 5 * math.sqrt(2 / n) + slack


def moments_to(exact, x):
    """Mean and covariance of samples in the coordinates that whiten the exact posterior."""
    L = torch.linalg.cholesky(exact.covariance)
    white = torch.linalg.solve_triangular(L, (x - exact.mean).T, upper=False)
    return white.mean(1), white.cov()


def log_mixture(prior: GaussianMixturePrior, x, sigma=0.0):
    """log density of the mixture, blurred by sigma, `(B,)`."""
    laws = [
        torch.distributions.MultivariateNormal(m, C + sigma**2 * torch.eye(len(m)).double()).log_prob(x)
        for m, C in zip(prior.means, prior.covariances, strict=True)
    ]
    return torch.logsumexp(torch.stack(laws) + prior.weights.log()[:, None], 0)


def toy(seed, N=64, S=16, D=16, spread=1.0, shift=0.0, gain=1.0):
    """Samples (S, N, D) of posteriors that are right or wrong in a known way, truths (N, D), data (N, D).

    Truths N(0, 1)^D, data y = truth + N(0, 1), posterior N(y / 2, 1 / 2).
    """
    g = np.random.default_rng(seed)
    truths = g.standard_normal((N, D))
    y = truths + g.standard_normal((N, D))
    return gain * y / 2 + shift + spread * g.standard_normal((S, N, D)) / np.sqrt(2), truths, y
