r"""What all samplers share: linear algebra in singular vectors, noise levels, random numbers and checks.

A sampler uses a prior only through `denoise` and its derivatives. It uses a Gaussian likelihood through the singular
value decomposition of its whitened operator, :math:`\Sigma^{-1/2} A = U \, \mathrm{diag}(s) V^\top`, with data
:math:`d = U^\top \Sigma^{-1/2} y`. Inside a sampler, images are flat vectors `(B, D)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor
from tqdm import tqdm

from skyscore.compute.cost import cost
from skyscore.diffusion.schedule import geometric
from skyscore.likelihoods import GaussianLikelihood, Spectrum
from skyscore.observation import PriorLike

from .counting import CountedPrior, largest_deviation

__all__ = ["Sampler", "Samples"]

T = TypeVar("T")


@dataclass
class Samples:
    """Posterior samples.

    Attributes:
        x: samples, shape `(n, *in_shape)`, or `(O, n, *in_shape)` for a batch of O observations.
        nfe: evaluations of the denoiser per returned sample.
        nvjp: vector-Jacobian products per returned sample.
        diagnostics: numbers that tell how well the run went (ess, unique_ancestors, acceptance, ...).
    """

    x: Tensor
    nfe: float
    nvjp: float
    diagnostics: dict[str, Any] = field(default_factory=dict)

    @property
    def cost(self) -> float:
        """Cost per returned sample, nfe + 2 nvjp."""
        return cost(self.nfe, self.nvjp)


class Sampler:
    """Base class of samplers.

    Arguments:
        steps: number of noise levels.
        sigma_max: first noise level, in prior units. By default it is `start_sigmas` times the largest standard
            deviation of the prior, which power iteration on the denoiser's Jacobian measures.
        sigma_min: last noise level, in prior units. By default it is a tenth of the smallest standard deviation that
            the data allow, but at least 5e-5 of the first level. A run that ends with E[x0] at level sigma keeps a
            fraction v / (v + sigma^2) of the variance v of a direction.
        batch: images per network call.
        start_sigmas: first noise level, in units of the prior's largest standard deviation. Above 3 the data add little
            information, and levels spent there are missing further down.

    Raises:
        ValueError: if `steps` or `start_sigmas` is too small.
    """

    name = ""
    #: source of the method: authors, year, identifier (a column of docs/reference/samplers.md)
    reference: str = ""
    #: known failure of the method (a column of docs/reference/samplers.md)
    failure: str = ""
    #: conditions under which the samples follow the posterior (a column of docs/reference/samplers.md)
    exact_for: str = "nothing"
    #: whether the sampler needs the gradient of the network
    needs_vjp: bool = False
    #: whether the sampler needs the density of a Gaussian likelihood; if not, it takes a likelihood with only a score
    needs_density: bool = True
    #: whether the equations are solved in the singular vectors of the whitened operator, not by products with A and A'
    needs_svd: bool = True
    #: evaluations per image besides those of the levels; the few that measure the prior count as one
    besides: int = 1
    #: whether one run can hold several observations; a sampler whose chains interact runs each observation separately
    joint = True

    # attributes of a run
    prior: CountedPrior
    likelihood: Any  # a GaussianLikelihood; a ScoreLikelihood if `needs_density` is False
    data: Spectrum  # None in a matrix-free run
    generators: list[torch.Generator]
    dim: int
    probes: torch.Generator
    like: dict[str, Any]
    progress: bool
    diagnostics: dict[str, Any]
    centre: Tensor

    def __init__(
        self,
        steps: int = 100,
        sigma_max: float | None = None,
        sigma_min: float | None = None,
        batch: int = 1024,
        start_sigmas: float = 10.0,
    ):
        if steps < 2 + self.besides:
            raise ValueError(f"{self.name}: steps must be at least {2 + self.besides}, not {steps}")
        if not start_sigmas >= 1:
            raise ValueError(f"{self.name}: start_sigmas must be at least 1, not {start_sigmas}")
        self.steps, self.sigma_max, self.sigma_min, self.batch = steps, sigma_max, sigma_min, batch
        self.start_sigmas = start_sigmas

    def __call__(
        self,
        prior: PriorLike,
        likelihood: Any,
        n: int,
        generators: list[torch.Generator],
        progress: bool = False,
    ) -> Samples:
        """Draws n posterior samples for each observation.

        Arguments:
            prior: object with `denoise(x, sigma)`.
            likelihood: Gaussian likelihood of one observation, or of a batch of observations.
            n: samples per observation.
            generators: one random generator per observation; the samples of an observation use only its own.
            progress: whether to show a progress bar.

        Returns:
            Samples, `x` of shape `(n, *in_shape)`, or `(O, n, *in_shape)` for a batch.

        Raises:
            ValueError: if the sampler needs singular vectors and the operator is too large to decompose.
            FloatingPointError: if the samples are not finite.
        """
        shape, y, observations = tuple(likelihood.operator.in_shape), likelihood.y, len(generators)
        self.prior = CountedPrior(prior, shape, self.batch)
        self.likelihood, self.data = likelihood, self.decomposition(likelihood, n)  # type: ignore[assignment]
        self.generators, self.dim, rows = generators, math.prod(shape), n * observations
        # the measurements of the prior must not depend on which observations share a batch
        self.probes = torch.Generator(y.device).manual_seed(0)
        self.like = {"dtype": y.dtype, "device": y.device}
        self.progress, self.diagnostics = progress, {}
        top, low = self.range()
        self.prepare(top)
        self.centre = self.prior.denoise(torch.zeros(1, self.dim, **self.like), top)
        sigmas = geometric(self.steps - self.besides, top, low)  # `steps` counts all evaluations
        x = self.run(sigmas, rows)
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                f"{self.name}: the samples are not finite; use more steps (now {self.steps})"
            )
        p = self.prior
        self.diagnostics |= {"sigma_max": sigmas[0], "sigma_min": sigmas[-1]}
        leading = (observations, n) if likelihood.batched else (n,)
        return Samples(x.reshape(*leading, *shape), p.nfe / rows, p.nvjp / rows, self.diagnostics)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        """Draws samples along the noise levels `sigmas`.

        Arguments:
            sigmas: noise levels, falling, in prior units.
            n: number of samples of all observations together.

        Returns:
            Samples, shape `(n, D)`.
        """
        raise NotImplementedError(f"{self.name} defines no run")

    def prepare(self, sigma_max: float) -> None:
        """Measures what the sampler needs to know about the prior; called once the first noise level is known."""

    @property
    def matrix_free(self) -> bool:
        """Whether the sampler can run with an operator that is too large to decompose."""
        return False

    def decomposition(self, likelihood: GaussianLikelihood, n: int) -> Spectrum | None:
        """The singular value decomposition and the data in it, with n rows per observation; None for a matrix-free run.

        Raises:
            ValueError: if the operator is too large to decompose and the sampler needs its singular vectors.
        """
        if likelihood.decomposable:
            data = likelihood.spectrum().to(likelihood.y.dtype, likelihood.y.device)
            if likelihood.batched:
                data.d = data.d.repeat_interleave(n, dim=0)
            return data
        if self.matrix_free:
            return None
        raise ValueError(
            f"{self.name}: needs the singular vectors of the operator, but an image of "
            f"{math.prod(likelihood.operator.in_shape)} pixels is too large for them; use pnpdm with matched: true"
        )

    def range(self) -> tuple[float, float]:
        """First and last noise level, in prior units."""
        top = self.sigma_max if self.sigma_max is not None else self.start_sigmas * self.prior_scale()
        if self.sigma_min is not None:
            return top, self.sigma_min
        if self.data is None:
            s: float = self.likelihood.sharpest
        else:
            s = float(self.data.s.max()) if len(self.data.s) else 0.0
        return top, max(0.1 / max(s, 1.0), 5e-5 * top)

    def prior_scale(self) -> float:
        """Largest standard deviation of the prior in any direction, in prior units."""
        return largest_deviation(self.prior, self.probe())

    def white_variance(self, sigma_max: float, probes: int = 8) -> float:
        """Mean variance of the prior per pixel, in prior units squared.

        It is the trace of sigma^2 dD/dx at the first level, divided by D and estimated with random probes.
        """
        x = sigma_max * self.probe()
        _, vjp = self.prior.denoise_vjp(x, sigma_max)
        v = [self.probe().sign() for _ in range(probes)]
        trace = sum(float((u * vjp(u)).sum()) for u in v) / probes
        return max(sigma_max**2 * trace / self.dim, 1e-8)

    def start(self, n: int, sigma: float) -> Tensor:
        """Images at the first level from N(E[x0], sigma^2), shape `(n, D)`; starting at zero makes them too faint."""
        return self.centre + sigma * self.noise(n)

    def noise(self, n: int, *shape: int) -> Tensor:
        """Standard normal noise `(n, *shape)`, or `(n, D)`; each observation's generator draws an equal share."""
        each, shape = n // len(self.generators), shape or (self.dim,)
        return torch.cat([torch.randn(each, *shape, generator=g, **self.like) for g in self.generators])

    def probe(self) -> Tensor:
        """One standard normal image `(1, D)`, used to measure the prior."""
        image: Tensor = torch.randn(1, self.dim, generator=self.probes, **self.like)
        return image

    def bar(self, items: Iterable[T], desc: str | None = None) -> Iterable[T]:
        """A progress bar over `items`, hidden unless `progress` is set."""
        return tqdm(items, desc=desc or self.name, disable=not self.progress)

    def likelihood_score(self, x: Tensor, c: float) -> Tensor:
        """A' (Sigma + c A A')^-1 (y - A x), shape of x, `(B, D)`."""
        V, s, d = self.data.V, self.data.s, self.data.d
        return (s * (d - s * (x @ V)) / (1 + c * s**2)) @ V.T

    def data_draw(self, x: Tensor, rho: float, given: Tensor | None = None) -> Tensor:
        """Draws z ~ p(y | z) N(z; x, rho^2), shape of x, `(B, D)`.

        The draw is exact: it is Gaussian along each singular vector, and N(x, rho^2) in the unobserved directions.

        Arguments:
            x: centre of the Gaussian, `(B, D)`.
            rho: width of the Gaussian, in prior units.
            given: precision of the data along the singular vectors, `(K,)`; s^2 by default.
        """
        V, s, d = self.data.V, self.data.s, self.data.d
        given = s**2 if given is None else given
        z, a = x + rho * self.noise(len(x)), x @ V
        precision = given + rho**-2
        mean = (torch.where(s > 0, given / s, 0) * d + a / rho**2) / precision
        eps = (z - x) @ V / rho
        return z + (mean + eps / precision.sqrt() - z @ V) @ V.T
