"""Gaussian priors and linear operators on which a sampler is a chain of affine maps: its law, iterated in float64.

In the singular vectors of the whitened operator, and with a prior that is diagonal there, a coordinate x of the chain
goes from level to level by x -> a x + c + sqrt(q) eps. Each method is a list of such (a, c, q), written here from its
paper and not from the code; mean and variance of the output follow.

Statistics: n = 20,000 samples with fixed seeds. The laws are those of the discretised methods, so that no slack is
added: 5 standard errors, sqrt(v / n) of a mean and v sqrt(2 / n) of a variance; about 1 in 2 million for each number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import sample

SIZE = 20_000
TOP, LOW = 20.0, 0.02

Affine = tuple[float, float, float]


@dataclass
class Coordinate:
    """One direction: prior N(mean, variance), data d = w x + N(0, 1)."""

    mean: float
    variance: float
    w: float
    d: float

    def gain(self, sigma: float) -> float:
        return self.variance / (self.variance + sigma**2)

    def denoised(self, sigma: float) -> tuple[float, float]:
        """(g, h) of E[x0 | x] = g x + h."""
        g = self.gain(sigma)
        return g, (1 - g) * self.mean

    def centre(self, top: float) -> float:
        return self.denoised(top)[1]

    def posterior(self) -> tuple[float, float]:
        v = 1 / (1 / self.variance + self.w**2)
        return v * (self.mean / self.variance + self.w * self.d), v


COORDINATES = [
    Coordinate(0.7, 1.0, 10.0, 14.0),
    Coordinate(-1.0, 0.3, 2.0, -1.3),
    Coordinate(0.0, 2.0, 0.7, 1.9),
    Coordinate(0.4, 0.5, 0.1, -0.8),
    Coordinate(-0.6, 1.5, 0.0, 0.0),  # which the data do not see
]


def levels(count: int, top: float = TOP, low: float = LOW) -> list[float]:
    return [top * (low / top) ** (i / (count - 1)) for i in range(count)]


def moments(maps: Iterator[Affine], mean: float, variance: float) -> tuple[float, float]:
    for a, c, q in maps:
        mean, variance = a * mean + c, a * a * variance + q
    return mean, variance


Law = Callable[[Coordinate, list[float]], tuple[float, float]]


def problem(coordinates: list[Coordinate] = COORDINATES):
    """The coordinates turned into pixels by a random rotation Q `(D, D)`; data turned by another, in units of noise."""
    g = torch.Generator().manual_seed(3)
    n = len(coordinates)
    Q, U = (torch.linalg.qr(torch.randn(n, n, generator=g).double())[0] for _ in range(2))

    def column(key: str) -> torch.Tensor:
        return torch.tensor([getattr(c, key) for c in coordinates], dtype=torch.float64)

    prior = GaussianPrior(Q @ column("mean"), (Q * column("variance")) @ Q.T)
    noise = torch.rand(n, generator=g, dtype=torch.float64) + 0.5  # an error of its own for each datum
    A = noise[:, None] * ((U * column("w")) @ Q.T)
    return prior, GaussianLikelihood(MatrixOperator(A), noise * (U @ column("d")), noise), Q


def run(name: str, coordinates: list[Coordinate] = COORDINATES, **options):
    """Samples in the coordinates, `(SIZE, D)`."""
    prior, likelihood, Q = problem(coordinates)
    g = torch.Generator().manual_seed(0)
    settings = {"sigma_max": TOP, "sigma_min": LOW, "batch": SIZE, **options}
    return sample(name, prior, likelihood, SIZE, generator=g, **settings).x @ Q


def assert_law(x: torch.Tensor, law: Law, sigmas: list[float], coordinates: list[Coordinate] = COORDINATES):
    """Mean and variance of each coordinate are those of the law; the coordinates are independent."""
    for k, c in enumerate(coordinates):
        mean, variance = law(c, sigmas)
        a = x[:, k]
        error = 5 * math.sqrt(variance / len(a)) + 1e-9  # samples that collapse are left with rounding
        assert abs(float(a.mean()) - mean) < error, (k, float(a.mean()), mean)
        error = 5 * math.sqrt(2 / len(a)) * variance + 1e-18
        assert abs(float(a.var()) - variance) < error, (k, float(a.var()), variance)
    spread = x[:, x.std(0) > 1e-8]  # of coordinates that collapse only rounding is left
    between = torch.corrcoef(spread.T).reshape(spread.shape[1], -1) - torch.eye(spread.shape[1])
    assert float(between.abs().max()) < 5 / math.sqrt(len(x))


def ode_gain(variance: float, sigma: float, steps: int) -> float:
    """dx0/dx of the two-step solver of the ODE: `steps` levels from sigma to 0.9 sigma / steps, N(0, variance)."""
    at = [sigma * (0.9 / steps) ** (i / (steps - 1)) for i in range(steps)] if steps > 1 else [sigma]
    g = [variance / (variance + s * s) for s in at]
    x, slope, D = 1.0, 0.0, g[0]
    for k in range(1, steps):
        h = math.log(at[k - 1] / at[k])
        x = at[k] / at[k - 1] * x + (1 - at[k] / at[k - 1]) * D + (h - math.log(1 + h)) * slope
        D, before = g[k] * x, D
        slope = (D - before) / h
    return D
