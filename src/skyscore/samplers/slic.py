r"""Posterior samples under a learned noise: guided by its first two moments, then corrected with its score (SLIC).

A score-based likelihood has a score and no density,

.. math:: \nabla_x \log p(y \mid x) = -A^\top s_Q(y - A x)

and what it would be of diffused images is not known. So (1) a common sampler draws from the posterior of the Gaussian
*surrogate*, which has the measured covariance of the noise; (2) its samples are the starts of Hamiltonian Monte Carlo
chains with the target of the learned score at a small level :math:`\sigma`,

.. math:: \nabla \log \pi(x) = \frac{D(x, \sigma) - x}{\sigma^2} - A^\top s_Q(y - A x)

where a proposal is accepted by the line integral of the score along its own trajectory (the trapezoid rule on every
leapfrog step, which costs nothing more and is exact for a Gaussian),

.. math:: \log \frac{\pi(x_L)}{\pi(x_0)} \approx \sum_l \tfrac12 (S_l + S_{l+1}) \cdot (x_{l+1} - x_l)

and (3) what is left of the level is taken off by the reverse SDE with the same score. Momenta are preconditioned by
the surrogate's posterior: the covariance of positions is taken as
:math:`(1/\sigma^2 + c\, s^2)^{-1}` along its singular vectors, c the measured ratio of the curvature of the learned
likelihood to the surrogate's. The surrogate decides where chains start and how long their steps are, not where they go.

References: Legin et al. (2023), arXiv:2302.03046 (SLIC); Adam et al. (2023), arXiv:2311.18002 (images); Remy et al.
(2022), arXiv:2201.05561 (Metropolis test on score line integrals); Neal (2011), arXiv:1206.1901 (HMC).
"""

from __future__ import annotations

import copy
import itertools
import math

import torch
from torch import Tensor

from ..diffusion.schedule import ancestral, correction, geometric
from .base import Counted, Sampler, Samples
from .cla import CLA
from .mmps import MMPS

__all__ = ["SLIC"]

GUIDES: dict[str, type[Sampler]] = {c.name: c for c in (CLA, MMPS)}


class SLIC(Sampler):
    """Creates the sampler.

    Arguments:
        guidance: sampler on the surrogate, "mmps" or "cla".
        cg_steps: conjugate-gradient steps of "mmps".
        level: sigma of the correction, in prior units; by default 0.3 over the largest singular value that the
            learned likelihood has, c included.
        trajectories, leapfrogs: of the chains; their product is what the correction costs in evaluations.
        step: of a leapfrog, in units of the preconditioned coordinates.
        finish: levels of the reverse SDE at the end.
    """

    name = "slic"
    needs_density = False
    exact_for = "any noise whose score is known, as the chains grow and their level falls"

    def __init__(
        self,
        *,
        guidance: str = "mmps",
        cg_steps: int = 2,
        level: float | None = None,
        trajectories: int = 10,
        leapfrogs: int = 8,
        step: float = 0.3,
        finish: int = 5,
        **options,
    ):
        super().__init__(**options)
        if guidance not in GUIDES:
            raise ValueError(f"slic: no guidance {guidance!r} (known: {', '.join(GUIDES)})")
        self.guidance, self.level, self.finish = guidance, level, finish
        self.trajectories, self.leapfrogs, self.step = trajectories, leapfrogs, step
        self.guide_options = {"cg_steps": cg_steps} if guidance == "mmps" else {}

    def __call__(
        self, prior, likelihood, n: int, generators: list[torch.Generator], progress: bool = False
    ) -> Samples:
        """n samples of the posterior of each observation of a score likelihood; see the module."""
        surrogate = likelihood.surrogate
        shape, rows = tuple(surrogate.operator.in_shape), n * len(generators)
        options = {"steps": self.steps, "sigma_max": self.sigma_max, "sigma_min": self.sigma_min}
        guide = GUIDES[self.guidance](batch=self.batch, **options, **self.guide_options)
        start = guide(prior, surrogate, n, generators, progress)
        self.prior, self.likelihood, self.shape = (
            Counted(prior, shape, self.batch),
            copy.copy(likelihood),
            shape,
        )
        if likelihood.batched:
            self.likelihood.diffused = likelihood.diffused.repeat_interleave(
                n, dim=0
            )  # one row for each chain
        self.data = surrogate.spectrum().to(start.x.dtype, start.x.device)
        self.generators, self.dim, self.progress = generators, math.prod(shape), progress
        self.like = {"dtype": start.x.dtype, "device": start.x.device}
        self.probes, self.noise_nfe = torch.Generator(start.x.device).manual_seed(0), 0
        x, found = self.correct(start.x.reshape(rows, -1), start.diagnostics["sigma_min"])
        if not bool(torch.isfinite(x).all()):
            raise FloatingPointError("slic: samples are not finite; try a smaller step or level")
        leading = (len(generators), n) if likelihood.batched else (n,)
        acceptance = found.pop("acceptance").reshape(len(generators), n).mean(1).tolist()
        diagnostics = {
            **found,
            "acceptance": acceptance if likelihood.batched else acceptance[0],
            "noise_nfe": self.noise_nfe / rows,
        }
        nfe = start.nfe + self.prior.nfe / rows
        return Samples(x.reshape(*leading, *shape), nfe, start.nvjp, diagnostics)

    # ------------------------------------------------------------------ the target

    def likelihood_score(self, x: Tensor) -> Tensor:
        """-A' s_Q(y - A x), shape of x = `(B, D)`, one row for each chain."""
        self.noise_nfe += len(x)
        return self.likelihood.score(x.reshape(-1, *self.shape)).reshape(x.shape)

    def score(self, x: Tensor) -> Tensor:
        """Score of the target at the level, shape of x."""
        prior = (self.prior.denoise(x, self.sigma) - x) / self.sigma**2
        return prior + self.likelihood_score(x)

    def curvature(self, x: Tensor) -> Tensor:
        """Ratio c of the curvatures of the learned and the surrogate likelihood, per observation, `(rows, 1)`.

        Along a random direction of the data, by a difference of scores; the mean over an observation's chains.
        """
        V, s = self.data.V, self.data.s
        u = (self.probe() @ V) @ V.T
        u = u / u.norm()
        h = 1 / float(s.max())
        learned = -((self.likelihood_score(x + h * u) - self.likelihood_score(x - h * u)) @ u.T) / (2 * h)
        ratio = learned / ((u @ V) * s).square().sum()
        ratio = ratio.reshape(len(self.generators), -1).mean(1).clamp(1.0, 10.0)
        return ratio.repeat_interleave(len(x) // len(self.generators))[:, None]

    # ------------------------------------------------------------------ the chains

    def correct(self, x: Tensor, sigma_min: float) -> tuple[Tensor, dict]:
        """Chains from x `(B, D)` at the level, then down to sigma_min; the samples and their diagnostics."""
        c = self.curvature(x)
        top = float(self.data.s.max()) * float(c.max().sqrt())
        self.sigma = max(self.level or 0.3 / top, sigma_min)
        covariance = 1 / (1 / self.sigma**2 + c * self.data.s**2)  # (B, K), along V
        x = x + self.sigma * self.noise(len(x))
        S, accepted = self.score(x), torch.zeros(len(x), **self.like)
        for _ in self.bar(range(self.trajectories), "slic: chains"):
            x, S, yes = self.trajectory(x, S, covariance)
            accepted += yes / self.trajectories
        return self.descend(x, sigma_min), {
            "acceptance": accepted,
            "level": self.sigma,
            "curvature": float(c.mean()),
        }

    def power(self, v: Tensor, covariance: Tensor, p: float) -> Tensor:
        """C^p v with C = sigma^2 on the complement of V and `covariance` along it, shape of v."""
        white = self.sigma ** (2 * p)
        return white * v + ((v @ self.data.V) * (covariance**p - white)) @ self.data.V.T

    def trajectory(self, x: Tensor, S: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One proposal for every chain and its Metropolis test: new positions, their scores, which moved."""
        p = self.power(self.noise(len(x)), covariance, -0.5)  # momenta N(0, C^-1)
        kinetic = (p * self.power(p, covariance, 1)).sum(1) / 2
        x_l, S_l, gain = x, S, torch.zeros_like(kinetic)
        for _ in range(self.leapfrogs):
            p = p + self.step / 2 * S_l
            move = self.step * self.power(p, covariance, 1)
            S_r = self.score(x_l + move)
            gain = gain + ((S_l + S_r) * move).sum(1) / 2  # line integral of the score
            x_l, S_l, p = x_l + move, S_r, p + self.step / 2 * S_r
        log_ratio = gain - (p * self.power(p, covariance, 1)).sum(1) / 2 + kinetic
        yes = (self.uniform(len(x)).log() < log_ratio)[:, None]
        return torch.where(yes, x_l, x), torch.where(yes, S_l, S), yes[:, 0].to(x.dtype)

    def uniform(self, n: int) -> Tensor:
        each = n // len(self.generators)
        return torch.cat([torch.rand(each, generator=g, **self.like) for g in self.generators])

    def descend(self, x: Tensor, sigma_min: float) -> Tensor:
        """E[x0] at sigma_min of the reverse SDE from the level, shape of x."""
        if self.sigma <= sigma_min * 1.001 or self.finish < 2:
            return self.prior.denoise(x, self.sigma)

        def denoise(x: Tensor, sigma: float) -> Tensor:
            return self.prior.denoise(x, sigma) + sigma**2 * self.likelihood_score(x)

        sigmas = geometric(self.finish, self.sigma, sigma_min)
        D = denoise(x, sigmas[0])
        for s, r in itertools.pairwise(sigmas):
            x = ancestral(x, D, s, r, self.noise(len(x)))
            D_r = denoise(x, r)
            x, D = x + correction(s, r) * (D_r - D), D_r
        return D
