r"""The SLIC posterior by split Gibbs: a guided start with Gaussian noise, then turns with the learned noise model.

A score-based likelihood has a score, :math:`-A^\top s_Q(y - A x)`, but no density, and its form for diffused images
is unknown. The sampler therefore has two stages. (1) A standard sampler draws from the posterior of the Gaussian
*surrogate*, which has the measured covariance of the noise. (2) These samples x start a split Gibbs sampler of the
joint law of the image x, its copy z and the noise m, which uses both learned models in the same way,

.. math:: x \sim p(x), \quad z = x + \rho\, \xi, \quad m \sim Q, \quad y = A z + m + \tau\, \zeta

It has three conditionals, none of which needs a density or a Metropolis test:

.. math::
    m \mid z: &\quad \text{reverse SDE of the noise model from level } \tau \text{ at } y - A z \\
    z \mid x, m: &\quad N\big(\Lambda^{-1} (x / \rho^2 + A^\top (y - m) / \tau^2), \Lambda^{-1}\big), \quad
        \Lambda = 1 / \rho^2 + A^\top A / \tau^2 \\
    x \mid z: &\quad \text{reverse SDE of the prior from level } \rho \text{ at } z

The law of x is the posterior of data with noise :math:`Q * N(0, \tau^2 + \rho^2 A A^\top)`. Exactly that much noise
is added to the data, once per observation: the posterior is the right one for the data used, for any :math:`\rho` and
:math:`\tau`. Both fall to their last values over the first half of the turns. The surrogate decides where the chains
start, not where they end.

References: Legin et al. (2023), arXiv:2302.03046 (SLIC); Adam et al. (2023), arXiv:2311.18002 (images); Wu et al.
(2024), arXiv:2405.18782 (split Gibbs with diffusion priors; here the noise is a second one); Stevens et al. (2023),
arXiv:2302.05290 (a diffusion model for the signal and one for the noise).
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from skyscore.diffusion.schedule import geometric, short, short_run
from skyscore.samplers.base import Sampler, Samples
from skyscore.samplers.counting import CountedPrior
from skyscore.samplers.guidance.cla import CLA
from skyscore.samplers.guidance.mmps import MMPS

__all__ = ["SLICGibbs", "ScoreCorrected"]

GUIDES: dict[str, type[Sampler]] = {c.name: c for c in (CLA, MMPS)}


class ScoreCorrected(Sampler):
    """Base class of samplers of a score likelihood that start from the posterior of its Gaussian surrogate.

    Arguments:
        guidance: sampler for the surrogate, "mmps" or "cla".
        cg_steps: conjugate-gradient steps of "mmps".

    Raises:
        ValueError: for an unknown guidance.
    """

    needs_density = False

    def __init__(self, *, guidance: str = "mmps", cg_steps: int = 2, **options):
        super().__init__(**options)
        if guidance not in GUIDES:
            raise ValueError(f"{self.name}: unknown guidance {guidance!r} (known: {', '.join(GUIDES)})")
        self.guidance = guidance
        self.guide_options = {"cg_steps": cg_steps} if guidance == "mmps" else {}

    def __call__(
        self, prior, likelihood, n: int, generators: list[torch.Generator], progress: bool = False
    ) -> Samples:
        """Draws n posterior samples for each observation of a score likelihood; see :class:`Sampler`.

        Raises:
            FloatingPointError: if the samples are not finite.
        """
        surrogate = likelihood.surrogate
        shape, rows = tuple(surrogate.operator.in_shape), n * len(generators)
        options = {
            name: getattr(self, name) for name in ("steps", "sigma_max", "sigma_min", "batch", "start_sigmas")
        }
        guide = GUIDES[self.guidance](**options, **self.guide_options)
        start = guide(prior, surrogate, n, generators, progress)
        self.prior, self.likelihood, self.shape = (
            CountedPrior(prior, shape, self.batch),
            copy.copy(likelihood),
            shape,
        )
        if likelihood.batched:  # one row per chain
            self.likelihood.diffused = likelihood.diffused.repeat_interleave(n, dim=0)
        self.data = surrogate.spectrum().to(start.x.dtype, start.x.device)
        self.generators, self.dim, self.progress = generators, math.prod(shape), progress
        self.like = {"dtype": start.x.dtype, "device": start.x.device}
        self.probes, self.noise_nfe = torch.Generator(start.x.device).manual_seed(0), 0
        x, found = self.correct(start.x.reshape(rows, -1), start.diagnostics["sigma_min"])
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError(
                f"{self.name}: the samples are not finite; use more steps (now {self.steps})"
            )
        leading = (len(generators), n) if likelihood.batched else (n,)
        per_chain = {
            k: v.reshape(len(generators), n).mean(1).tolist()
            for k, v in found.items()
            if isinstance(v, Tensor)
        }
        found |= {k: v if likelihood.batched else v[0] for k, v in per_chain.items()}
        found["noise_nfe"] = self.noise_nfe / rows
        return Samples(x.reshape(*leading, *shape), start.nfe + self.prior.nfe / rows, start.nvjp, found)

    def diffuse(self, rho: float) -> None:
        """Adds noise rho A epsilon to the data, epsilon of unit variance; all chains of an observation share it."""
        like, O = self.likelihood, len(self.generators)
        rows = len(like.diffused) // O if like.batched else 1
        epsilon = self.noise(O).repeat_interleave(rows, dim=0).reshape(-1, *self.shape)
        like.diffused = like.diffused + like.operator(like.flux * rho * epsilon).reshape(like.diffused.shape)

    def correct(self, x: Tensor, sigma_min: float) -> tuple[Tensor, dict]:
        """Turns samples `(B, D)` of the surrogate's posterior into samples of the learned posterior.

        Arguments:
            x: samples of the surrogate's posterior, `(B, D)`.
            sigma_min: last noise level of the surrogate's run.

        Returns:
            Samples `(B, D)`, and diagnostics: tensors `(B,)` or numbers.
        """
        raise NotImplementedError(f"{self.name} defines no correct")


class SLICGibbs(ScoreCorrected):
    """The SLIC Gibbs sampler; the data are diffused to the level tau of the likelihood.

    Arguments:
        turns: turns of the Gibbs sampler.
        inner: evaluations of the prior, and of the noise model, in one turn
            (:func:`skyscore.diffusion.schedule.short`).
        rho: coupling of the last turns, in prior units; by default the smallest error that unit noise allows.
        anneal: ratio of the first turn's rho and tau to those of the last turn. If it is large enough, cosmic-ray
            hits that the surrogate took for light are decided again.
    """

    name = "slicgibbs"
    reference = "Legin et al. (2023), arXiv:2302.03046; Wu et al. (2024), arXiv:2405.18782"
    failure = "too wide where the data say little: turns at a small level accumulate the errors of a network"
    needs_vjp = True
    exact_for = "any noise and prior with exact scores, in the limit of many turns and evaluations per turn"

    def __init__(
        self, *, turns: int = 20, inner: int = 6, rho: float | None = None, anneal: float = 12.0, **options
    ):
        super().__init__(**options)
        self.turns, self.inner, self.rho, self.anneal = turns, inner, rho, anneal

    def correct(self, x: Tensor, sigma_min: float) -> tuple[Tensor, dict]:
        """Runs the Gibbs turns from x; diagnostics: rho, tau, and `moved`, the rms change of each sample."""
        like = self.likelihood
        self.V, self.s = (t.to(x) for t in like.modes())
        rho, tau = self.rho or 1 / float(self.s.max()), like.level
        self.diffuse(rho)
        falling = geometric(self.turns - self.turns // 2, self.anneal, 1.0) if self.anneal > 1 else []
        start, scales = x, [*falling, *[1.0] * (self.turns - len(falling))]
        z = x + rho * scales[0] * self.noise(len(x))
        for scale in self.bar(scales, "slicgibbs: turns"):
            m = self.noise_step(z, scale * tau)
            z = self.data_step(x, m, scale * rho, scale * tau)
            x = self.reverse(self.prior.denoise, z, scale * rho)
        return x, {"rho": rho, "tau": tau, "moved": (x - start).square().mean(1).sqrt()}

    def noise_step(self, z: Tensor, tau: float) -> Tensor:
        """Draws m | z, the noise in its own units, `(B, *out_shape)`."""
        r = self.likelihood.residual(z.reshape(-1, *self.shape))
        images = r.reshape(-1, 1, *r.shape[-2:])

        def denoise(v: Tensor, sigma: float) -> Tensor:
            self.noise_nfe += len(v)
            with torch.no_grad():
                return torch.cat([self.likelihood.noise.denoise(part, sigma) for part in v.split(self.batch)])

        return self.reverse(denoise, images, tau).reshape(r.shape)

    def data_step(self, x: Tensor, m: Tensor, rho: float, tau: float) -> Tensor:
        """Draws z | x, m, `(B, D)`: Gaussian along each singular vector, N(x, rho^2) in unobserved directions."""
        like, V, s = self.likelihood, self.V, self.s
        back = like.flux / like.std * like.operator.adjoint(like.diffused / like.std - m).flatten(1)
        z, precision = x + rho * self.noise(len(x)), rho**-2 + (s / tau) ** 2
        mean = (x @ V / rho**2 + back @ V / tau**2) / precision
        return z + (mean + (z - x) @ V / rho / precision.sqrt() - z @ V) @ V.T

    def reverse(self, denoise, v: Tensor, sigma: float) -> Tensor:
        """Draws the clean image or noise, given its diffused version v at level sigma; shape of v."""
        return short_run(denoise, v, short(self.inner, sigma), lambda v: self.normal(v.shape))[1]

    def normal(self, shape: tuple[int, ...]) -> Tensor:
        """Standard normal noise; each observation's generator draws an equal share of the rows."""
        each = shape[0] // len(self.generators)
        return torch.cat([torch.randn(each, *shape[1:], generator=g, **self.like) for g in self.generators])
