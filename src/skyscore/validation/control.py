r"""Control of the tests: ensembles with a known posterior pass through the same code that certifies all others.

The prior is a Gaussian field on a small square with a smooth power spectrum. The data are its pixels with white noise
whose variance is close to that of the field's modes, where the convolved-likelihood approximation (CLA) is least
accurate. In each eigenvector of the covariance, with variance P and noise b, in the limit of infinitely many noise
levels that start infinitely high,

.. math:: \text{exact: } m = \frac{P}{P + b} y, \; v = \frac{P b}{P + b}; \qquad
    \text{CLA: } m = P b \left[\frac{1}{b (P - b)} - \frac{\ln(P / b)}{(P - b)^2}\right] y, \;
    v = P^2 b^2 \left[\frac{P + b}{P b (P - b)^2} - \frac{2 \ln (P / b)}{(P - b)^3}\right]

(P = b: m = y / 2, v = P / 3, so mean squared z is 3 / 2). Draws of the exact posterior must be certified. CLA, and
draws whose deviation from the mean is a fifth too large, must not.

Reference: integrals of the reverse process under dS = S_prior + A' (b + sigma^2)^-1 (y - x), checked by tests.
"""

from __future__ import annotations

import numpy as np
import torch

from skyscore.baselines.wiener import linear_estimate
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import sample
from skyscore.seeds import generator, job_seed

from .certificate import Certificate, certify
from .ensemble import coverage_of, mira_of, moments_of, residuals_of, signal_to_noise

__all__ = ["METHODS", "cla_closed_form", "control", "field"]

METHODS = ("exact", "cla", "wide")
WIDE = 1.2  # factor on the deviations of samples that are too wide


def field(side: int) -> GaussianPrior:
    """A Gaussian field of zero mean on side x side pixels; the variance of its modes falls from 8 to 1/8."""
    k = 2 * np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(side)], indexing="ij")) / np.sqrt(2)  # 0 to 1
    transform = np.fft.fft2(np.eye(side**2).reshape(-1, side, side), norm="ortho").reshape(side**2, -1)
    covariance = (transform.conj().T * 8.0 ** (1 - 2 * k.ravel())) @ transform
    return GaussianPrior(torch.zeros(side**2, dtype=torch.float64), torch.as_tensor(covariance.real))


def cla_closed_form(P: np.ndarray, b: float) -> tuple[np.ndarray, np.ndarray]:
    """Gain on the data and variance of CLA's samples, for prior variances P and noise variance b."""
    P = np.where(
        np.isclose(P, b, rtol=1e-3), b * 1.001, P
    )  # the formula is 0 / 0 at P = b, its limit is smooth
    gap, log = P - b, np.log(P / b)
    gain = P * b * (1 / (b * gap) - log / gap**2)
    return gain, P**2 * b**2 * ((P + b) / (P * b * gap**2) - 2 * log / gap**3)


def draw(
    method: str, prior: GaussianPrior, y: torch.Tensor, b: float, S: int, steps: int, seed: int
) -> torch.Tensor:
    """S samples of each observation `(N, D)` by one method, `(N, S, D)`."""
    g, (N, D) = generator(seed), y.shape
    if method == "cla":
        likelihood = GaussianLikelihood(MatrixOperator(torch.eye(D, dtype=y.dtype)), y, b**0.5)
        return sample("cla", prior, likelihood, S, steps=steps, generator=g).x
    C = prior.covariance
    gain = C @ torch.linalg.inv(C + b * torch.eye(D, dtype=y.dtype))
    root = torch.linalg.cholesky(b * (gain + gain.T) / 2)  # C (C + b)^-1 b
    z = torch.randn(N, S, D, generator=g, dtype=y.dtype)
    return (y @ gain.T)[:, None] + (WIDE if method == "wide" else 1.0) * z @ root.T


def control(
    method: str,
    simulations: int = 64,
    samples: int = 16,
    side: int = 16,
    noise: float = 1.0,
    steps: int = 100,
    seed: int = 0,
) -> tuple[dict[str, float], Certificate, dict]:
    """Simulates, samples, tests and certifies.

    Arguments:
        method: one of `METHODS`.
        simulations, samples: N and S.
        side: side of the field (pixels).
        noise: variance of the data's noise.
        steps: noise levels of CLA.

    Returns:
        Numbers, including `z2_expected` of the closed form; the certificate; the coverage curves.
    """
    prior, g = field(side), generator(job_seed(seed, "simulate"))
    truths = prior.sample(simulations, g)
    y = truths + noise**0.5 * torch.randn(truths.shape, generator=g, dtype=truths.dtype)
    x = draw(method, prior, y, noise, samples, steps, job_seed(seed, method)).numpy()
    # any orthogonal basis diagonalises the identity; that of the field separates signal from noise
    V, s, data = prior.vectors[0].numpy(), np.full(side**2, noise**-0.5), y.numpy()
    draws = prior.sample(1000, g).numpy()
    estimates = linear_estimate(V, s, data / noise**0.5 @ V, draws)
    shape = (1, side, side)
    images, theta = x.reshape(simulations, samples, *shape), truths.numpy().reshape(simulations, *shape)
    whitened = (data[:, None] - x) / noise**0.5
    covered, curves = coverage_of(images, theta, estimates, seed=seed)
    numbers = {"simulations": simulations, "samples": samples} | covered
    numbers |= mira_of(images, theta) | moments_of(
        images, theta, V, signal_to_noise(V, s, draws), draws.std(0)
    )
    numbers |= residuals_of(np.square(whitened).mean(2), whitened[:, 0])
    numbers["z2_expected"] = expected(method, prior.values[0].numpy(), noise, samples)
    verdict = certify(numbers)
    return numbers | {"certified": int(verdict.certified)}, verdict, curves


def expected(method: str, P: np.ndarray, b: float, S: int) -> float:
    """Mean squared z of S samples over pixels, in closed form; all pixels are alike, so sums over modes suffice.

    With squared errors e^2 about the mean of infinitely many samples and variance v, (e^2 + v / S) / ((1 + 1 / S) v).
    """
    if method == "cla":
        gain, variance = cla_closed_form(P, b)
        ratio = ((1 - gain) ** 2 * P + gain**2 * b).sum() / variance.sum()
    else:
        ratio = 1.0 if method == "exact" else WIDE**-2
    return float((ratio + 1 / S) / (1 + 1 / S))
