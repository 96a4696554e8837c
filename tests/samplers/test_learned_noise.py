"""SLIC: the exact posterior under Gaussian noise even if its surrogate is wrong; other noise against quadrature."""

from __future__ import annotations

import math

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import sample
from skyscore.samplers.learned_noise.slic import SLIC
from skyscore.samplers.learned_noise.slic_gibbs import SLICGibbs
from skyscore.samplers.learned_noise.slic_hmc import SLICHMC

D = 16


class WhiteNoise:
    """N(0, 1) per pixel, with its exact denoiser."""

    def denoise(self, r, sigma):
        return r / (1 + torch.as_tensor(sigma) ** 2)


class Contaminated:
    """Every pixel alone: N(0, 1) with a share f of N(0, c^2), with its exact denoiser."""

    weights, variances = torch.tensor([0.8, 0.2]).double(), torch.tensor([1.0, 36.0]).double()

    def parts(self, r, sigma):
        shape = (2,) + (1,) * r.ndim
        total = self.variances.reshape(shape) + sigma**2
        return self.weights.log().reshape(shape) - total.log() / 2 - r**2 / (2 * total), total

    def denoise(self, r, sigma):
        log_p, total = self.parts(r, sigma)
        return (log_p.softmax(0) * (total - sigma**2) / total).sum(0) * r

    def log_prob(self, r, sigma):
        return self.parts(r, sigma)[0].logsumexp(0)


class Images(MatrixOperator):
    """A matrix whose data are one image."""

    def __init__(self, A, shape):
        super().__init__(A)
        self.out_shape = shape

    def __call__(self, x):
        return super().__call__(x).unflatten(-1, self.out_shape)

    def adjoint(self, y):
        return super().adjoint(y.flatten(-len(self.out_shape)))


def gaussian_case(width: float):
    """Prior, likelihood whose surrogate takes the noise `width` times as wide, and the matrix of its data."""
    t = torch.arange(D, dtype=torch.float64)
    A = torch.exp(-0.5 * ((t[:, None] - t) / 1.2) ** 2)
    A = 4 * A / A.sum(1, keepdim=True)
    covariance = torch.exp(-0.5 * ((t[:, None] - t) / 2.0) ** 2) + 0.05 * torch.eye(D, dtype=torch.float64)
    prior = GaussianPrior(torch.zeros(D, dtype=torch.float64), covariance)
    g = torch.Generator().manual_seed(1)
    x = prior.sample(1, g)[0]
    y = A @ x + torch.randn(D, generator=g, dtype=torch.float64)
    surrogate = GaussianLikelihood(MatrixOperator(A), y, width)
    likelihood = ScoreLikelihood(Images(A, (4, 4)), y.reshape(4, 4), WhiteNoise(), surrogate, level=0.3)
    return prior, likelihood, A


def coupling(samples) -> float:
    """By how much of rho A epsilon the data were diffused beyond tau."""
    return samples.diagnostics.get("rho", samples.diagnostics.get("level", 0.0))


def diffused(sampler, likelihood):
    """The data that the posterior is of."""
    return getattr(sampler, "likelihood", likelihood).diffused.flatten()


GIBBS = {"turns": 80, "inner": 8, "rho": 0.15, "anneal": 2.0}
HMC = {"trajectories": 40, "leapfrogs": 12, "step": 0.6, "level": 0.05}


@pytest.mark.parametrize(
    "method, options, width",
    [
        (SLIC, {"cg_steps": 20}, 2.0),
        (SLIC, {"cg_steps": 20, "start_sigmas": 3.0, "eta": 0.5}, 0.6),
        (SLICGibbs, GIBBS | {"guidance": "cla"}, 1.0),
        (SLICGibbs, GIBBS, 2.0),
        (SLICGibbs, GIBBS, 0.6),
        (SLICHMC, HMC, 2.0),
        (SLICHMC, HMC | {"guidance": "cla"}, 0.6),
    ],
)
def test_gaussian_noise_is_sampled_exactly_whatever_the_surrogate(method, options, width):
    prior, likelihood, A = gaussian_case(width)
    n, sampler = 1000, method(steps=30, **options)
    samples = sampler(prior, likelihood, n, [torch.Generator().manual_seed(3)])
    # the posterior of the data as diffused: to tau, and by rho A
    rho = coupling(samples)
    covariance = (1 + likelihood.level**2) * torch.eye(D, dtype=torch.float64) + rho**2 * A @ A.T
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))
    y = whiten @ diffused(sampler, likelihood)
    exact = prior.posterior(GaussianLikelihood(MatrixOperator(whiten @ A), y, 1.0))
    sd = exact.covariance.diagonal().sqrt()
    z = (samples.x.mean(0) - exact.mean) / (sd / math.sqrt(n))
    # of 16 means: squared errors of mean 1; of 16 correlated variances: 4.5 per cent standard error each
    assert float(z.square().mean()) < 2.5, z
    ratio = samples.x.var(0) / sd**2
    assert abs(float(ratio.mean()) - 1) < 0.06, ratio


@pytest.mark.parametrize(
    "method, options",
    [
        (SLICGibbs, {"turns": 180, "inner": 8, "rho": 0.3, "anneal": 3.0}),
        (SLICHMC, {"trajectories": 20, "leapfrogs": 20, "step": 0.6, "level": 0.1}),
    ],
)
def test_non_gaussian_noise_agrees_with_quadrature(method, options):
    """One of the data is an outlier."""
    prior, likelihood = contaminated_case([0.5, 0.2, 9.0, 0.9])
    sampler = method(steps=30, **options)
    samples = sampler(prior, likelihood, 2000, [torch.Generator().manual_seed(1)])
    mean, sd = quadrature(likelihood, diffused(sampler, likelihood), coupling(samples))
    # four standard errors of 2000 independent draws
    assert abs(float(samples.x.mean()) - mean) < 0.09 * sd
    assert abs(float(samples.x.std()) / sd - 1) < 0.07
    gaussian = sample("mmps", prior, likelihood.surrogate, 2000, steps=30)
    assert abs(float(gaussian.x.mean()) - mean) > 0.5 * sd  # what the correction had to mend


@pytest.mark.parametrize("outlier, within, width", [(1.0, 0.1, 1.08), (9.0, 1.0, 1.9)])
def test_guidance_by_both_models_is_better_than_by_two_moments(outlier, within, width):
    """Near the posterior where the data are alike; half of the way from the Gaussian's where one is an outlier."""
    prior, likelihood = contaminated_case([0.5, 0.2, outlier, 0.9])
    mean, sd = quadrature(likelihood, likelihood.diffused.flatten(), 0.0)

    def found(name, data, **options):
        x = sample(name, prior, data, 2000, steps=30, **options).x
        return abs(float(x.mean()) - mean) / sd, float(x.std()) / sd

    both, gaussian = found("slic", likelihood, cg_steps=8), found("mmps", likelihood.surrogate)
    assert both[0] < within and both[1] < width
    assert gaussian[0] > 1.5 * within or gaussian[1] > 1.5 * width


def contaminated_case(data: list[float]):
    """One unknown, four data of contaminated noise."""
    noise, A = Contaminated(), torch.tensor([[1.0], [0.7], [1.3], [1.0]]).double()
    y = torch.tensor(data).double()
    width = float((noise.weights * noise.variances).sum().sqrt())
    surrogate = GaussianLikelihood(MatrixOperator(A), y, width)
    prior = GaussianPrior(torch.zeros(1).double(), 4 * torch.eye(1).double())
    return prior, ScoreLikelihood(Images(A, (2, 2)), y.reshape(2, 2), noise, surrogate, level=0.3)


def quadrature(likelihood, data, rho: float) -> tuple[float, float]:
    """Mean and deviation of the posterior of these data, on a grid of z = x + rho xi, then x | z."""
    A = likelihood.surrogate.operator.A
    z, gain = torch.linspace(-12, 12, 6001, dtype=torch.float64)[:, None], 4 / (4 + rho**2)
    r = data - z @ A.T
    p = (likelihood.noise.log_prob(r, torch.tensor(0.3)).sum(1) - z[:, 0] ** 2 / (2 * (4 + rho**2))).softmax(
        0
    )
    mean = float((p * z[:, 0]).sum())
    sd = math.sqrt(gain**2 * float((p * (z[:, 0] - mean) ** 2).sum()) + gain * rho**2)
    return gain * mean, sd


def test_observations_of_a_batch_are_those_of_single_runs_and_need_a_score_sampler():
    prior, likelihood, _ = gaussian_case(1.0)
    with pytest.raises(ValueError, match="density"):
        sample("mmps", prior, likelihood, 4)
    y = torch.stack([likelihood.y, likelihood.y + 1])
    A = likelihood.surrogate.operator.A
    surrogate = GaussianLikelihood(likelihood.surrogate.operator, y.flatten(1), 1.0)
    both = ScoreLikelihood(Images(A, (4, 4)), y, WhiteNoise(), surrogate)
    options = {"steps": 10, "turns": 8, "anneal": 4.0}
    x = sample("slicgibbs", prior, both, 400, **options).x
    assert x.shape == (2, 400, D) and bool(torch.isfinite(x).all())
    assert float((x[1].mean(0) - x[0].mean(0)).mean()) > 0.1  # brighter data, brighter unknown
