r"""What all samplers share: linear algebra in the data's singular vectors, the loop over noise levels.

A sampler sees a prior through `denoise` and its derivatives alone, and a Gaussian likelihood through the singular
value decomposition of its whitened operator, :math:`\Sigma^{-1/2} A = U \, \mathrm{diag}(s) V^\top` with data
:math:`d = U^\top \Sigma^{-1/2} y`. Images are handled as flat vectors `(B, D)` inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from tqdm import tqdm

from skyscore.compute.cost import cost
from skyscore.diffusion.schedule import geometric
from skyscore.likelihoods import GaussianLikelihood, Spectrum

from .counting import Counted, largest_deviation

__all__ = ["Sampler", "Samples"]


@dataclass
class Samples:
    """Posterior samples.

    Attributes:
        x: samples, of shape `(n, *in_shape)`; `(O, n, *in_shape)` for a batch of O observations.
        nfe: evaluations of the denoiser per sample returned.
        nvjp: vector-Jacobian products per sample returned; the cost quoted is nfe + 2 nvjp.
        diagnostics: what the sampler knows of its own health (ess, unique_ancestors, acceptance, ...).
    """

    x: Tensor
    nfe: float
    nvjp: float
    diagnostics: dict = field(default_factory=dict)

    @property
    def cost(self) -> float:
        return cost(self.nfe, self.nvjp)


class Sampler:
    """Base class of samplers.

    Arguments:
        steps: noise levels.
        sigma_max: first level; `None` takes `reach` times the largest standard deviation of the prior, found by power
            iteration on the denoiser's Jacobian.
        reach: that factor. Between 3 and 10 the data hardly speak, and levels there are missing further down.
        sigma_min: last level; `None` takes a tenth of the smallest standard deviation the data allow, at least
            5e-5 of the first level: ended with E[x0] at a level sigma, a direction of variance v keeps
            v / (v + sigma^2) of it.
        batch: images per network call.
    """

    name = ""
    #: what a user should know before choosing, the rows of docs/samplers.md: where it is from, what it gets wrong
    reference: str = ""
    failure: str = ""
    #: where its samples follow the posterior
    exact_for: str = "nothing"
    #: whether it needs the gradient of the network
    needs_vjp: bool = False
    #: whether it reads the density of a Gaussian likelihood; if not, a likelihood with a score alone serves too
    needs_density: bool = True
    #: whether its equations are solved in the singular vectors of the whitened operator; if not, products with A and A'
    needs_svd: bool = True
    #: evaluations of each image that are no level: those for questions about the prior are few and count as one
    besides: int = 1
    #: whether the observations of a batch can go through one run; a sampler whose chains interact runs each by itself
    joint = True

    def __init__(
        self,
        steps: int = 100,
        sigma_max: float | None = None,
        sigma_min: float | None = None,
        batch: int = 1024,
        reach: float = 10.0,
    ):
        if steps < 2 + self.besides:
            raise ValueError(f"{self.name}: steps must be at least {2 + self.besides}, not {steps}")
        if not reach >= 1:
            raise ValueError(f"{self.name}: reach must be at least 1, not {reach}")
        self.steps, self.sigma_max, self.sigma_min, self.batch = steps, sigma_max, sigma_min, batch
        self.reach = reach

    def __call__(
        self,
        prior,
        likelihood: GaussianLikelihood,
        n: int,
        generators: list[torch.Generator],
        progress: bool = False,
    ) -> Samples:
        """n samples of the posterior of each observation; all of its randomness comes from its own generator."""
        shape, y, observations = tuple(likelihood.operator.in_shape), likelihood.y, len(generators)
        self.prior = Counted(prior, shape, self.batch)
        self.likelihood, self.data = likelihood, self.decomposition(likelihood, n)
        self.generators, self.dim, rows = generators, math.prod(shape), n * observations
        # what is learned about the prior must not depend on which observations share a batch
        self.probes = torch.Generator(y.device).manual_seed(0)
        self.like = {"dtype": y.dtype, "device": y.device}
        self.progress, self.diagnostics = progress, {}
        top, low = self.range()
        self.prepare(top)
        self.centre = self.prior.denoise(torch.zeros(1, self.dim, **self.like), top)
        sigmas = geometric(self.steps - self.besides, top, low)  # all within `steps`
        x = self.run(sigmas, rows)
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                f"{self.name}: samples are not finite; try more steps (now {self.steps})"
            )
        p = self.prior
        self.diagnostics |= {"sigma_max": sigmas[0], "sigma_min": sigmas[-1]}
        leading = (observations, n) if likelihood.batched else (n,)
        return Samples(x.reshape(*leading, *shape), p.nfe / rows, p.nvjp / rows, self.diagnostics)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        """Samples of shape `(n, D)` along the given levels, n of all observations together."""
        raise NotImplementedError(f"{self.name} defines no run")

    def prepare(self, sigma_max: float) -> None:
        """What a sampler wants to know of the prior before it starts; called once the first level is known."""

    @property
    def matrix_free(self) -> bool:
        """Whether it samples behind operators that are too large to decompose."""
        return False

    def decomposition(self, likelihood: GaussianLikelihood, n: int) -> Spectrum | None:
        """The singular vectors and the data in them, n rows for each observation; None if there are none."""
        if likelihood.decomposable:
            data = likelihood.spectrum().to(likelihood.y.dtype, likelihood.y.device)
            if likelihood.batched:
                data.d = data.d.repeat_interleave(n, dim=0)
            return data
        if self.matrix_free:
            return None
        raise ValueError(
            f"{self.name}: needs the singular vectors of the operator, and an image of "
            f"{math.prod(likelihood.operator.in_shape)} pixels is too large for them; use pnpdm with matched: true"
        )

    def range(self) -> tuple[float, float]:
        """First and last noise level."""
        top = self.sigma_max if self.sigma_max is not None else self.reach * self.prior_scale()
        if self.sigma_min is not None:
            return top, self.sigma_min
        if self.data is None:
            s = self.likelihood.sharpest
        else:
            s = float(self.data.s.max()) if len(self.data.s) else 0.0
        return top, max(0.1 / max(s, 1.0), 5e-5 * top)

    def prior_scale(self) -> float:
        """Largest standard deviation of the prior in any direction."""
        return largest_deviation(self.prior, self.probe())

    def white_variance(self, sigma_max: float, probes: int = 8) -> float:
        """Mean variance of the prior per pixel, the trace of sigma^2 dD/dx at the first level, by random probes."""
        x = sigma_max * self.probe()
        _, vjp = self.prior.denoise_vjp(x, sigma_max)
        v = [self.probe().sign() for _ in range(probes)]
        trace = sum(float((u * vjp(u)).sum()) for u in v) / probes
        return max(sigma_max**2 * trace / self.dim, 1e-8)

    def start(self, n: int, sigma: float) -> Tensor:
        """Images at the first level, N(E[x0], sigma^2), `(n, D)`; a start around zero would leave them too faint."""
        return self.centre + sigma * self.noise(n)

    def noise(self, n: int, *shape: int) -> Tensor:
        """Standard normal noise `(n, *shape)`, or `(n, D)`, an equal share of it from each observation's generator."""
        each, shape = n // len(self.generators), shape or (self.dim,)
        return torch.cat([torch.randn(each, *shape, generator=g, **self.like) for g in self.generators])

    def probe(self) -> Tensor:
        """One standard normal image `(1, D)`, for questions about the prior."""
        return torch.randn(1, self.dim, generator=self.probes, **self.like)

    def bar(self, items, desc: str | None = None):
        return tqdm(items, desc=desc or self.name, disable=not self.progress)

    def likelihood_score(self, x: Tensor, c: float) -> Tensor:
        """A' (Sigma + c A A')^-1 (y - A x), shape of x = `(B, D)`."""
        V, s, d = self.data.V, self.data.s, self.data.d
        return (s * (d - s * (x @ V)) / (1 + c * s**2)) @ V.T

    def data_draw(self, x: Tensor, rho: float, given: Tensor | None = None) -> Tensor:
        """z ~ p(y | z) N(z; x, rho^2), shape of x = `(B, D)`: along the singular vectors, and N(x, rho^2) on the rest.

        Arguments:
            given: precision that the data have along the singular vectors, `(K,)`; s^2 by default.
        """
        V, s, d = self.data.V, self.data.s, self.data.d
        given = s**2 if given is None else given
        z, a = x + rho * self.noise(len(x)), x @ V
        precision = given + rho**-2
        mean = (torch.where(s > 0, given / s, 0) * d + a / rho**2) / precision
        eps = (z - x) @ V / rho
        return z + (mean + eps / precision.sqrt() - z @ V) @ V.T
