r"""The SLIC posterior by Hamiltonian Monte Carlo: guided by a Gaussian surrogate, then chains on the learned score.

The target is the posterior at a small level :math:`\sigma` of the prior,

.. math:: S(x) = \nabla \log \pi(x) = \frac{D(x, \sigma) - x}{\sigma^2} - A^\top s_Q(y - A x)

A proposal is accepted by the line integral of the score along its own trajectory (the trapezoid rule on every
leapfrog step, which costs nothing extra and is exact for a Gaussian),

.. math:: \log \frac{\pi(x_L)}{\pi(x_0)} \approx \sum_l \tfrac12 (S_l + S_{l+1}) \cdot (x_{l+1} - x_l)

The law of x is that of an image diffused to the level, for data with additional noise :math:`\sigma^2 A A^\top`; this
noise is added to the data, once per observation. The reverse SDE of the prior then removes the level. The momenta are
preconditioned by the surrogate's posterior: the covariance of positions is taken as
:math:`(1/\sigma^2 + c\, s^2)^{-1}` along its singular vectors, where c is the measured ratio of the curvature of the
learned likelihood to that of the surrogate.

For analytic scores this is exact. The score of a network at a small level is not an exact gradient, and its density
has other modes than those that its reverse SDE draws: long chains drift, and
:mod:`skyscore.samplers.learned_noise.slic` is the default for networks.

References: Legin et al. (2023), arXiv:2302.03046 (SLIC); Remy et al. (2022), arXiv:2201.05561 (Metropolis test on
score line integrals); Neal (2011), arXiv:1206.1901 (HMC).
"""

from __future__ import annotations

import torch
from torch import Tensor

from skyscore.diffusion.schedule import geometric, short_run

from .slic_gibbs import ScoreCorrected

__all__ = ["SLICHMC"]


class SLICHMC(ScoreCorrected):
    """The SLIC sampler by Hamiltonian Monte Carlo.

    Arguments:
        level: sigma of the chains, in prior units; by default 0.2 divided by the surrogate's largest singular value.
        trajectories, leapfrogs: number of trajectories, and of leapfrog steps in each; their product is the cost of
            the correction in evaluations.
        step: size of a leapfrog step, in the preconditioned coordinates.
        finish: levels of the reverse SDE at the end.
    """

    name = "slichmc"
    reference = "Legin et al. (2023), arXiv:2302.03046; Remy et al. (2022), arXiv:2201.05561"
    failure = "long chains drift because a network is not an exact gradient; does not cross between modes"
    needs_vjp = True
    exact_for = "any noise with a known score, in the limit of long chains and level -> 0"

    def __init__(
        self,
        *,
        level: float | None = None,
        trajectories: int = 8,
        leapfrogs: int = 10,
        step: float = 0.35,
        finish: int = 5,
        **options,
    ):
        super().__init__(**options)
        self.level, self.finish = level, finish
        self.trajectories, self.leapfrogs, self.step = trajectories, leapfrogs, step

    # ------------------------------------------------------------------ the target

    def likelihood_score(self, x: Tensor) -> Tensor:  # type: ignore[override]  # its noise has no level to add
        """-A' s_Q(y - A x), shape of x, `(B, D)`, one row per chain."""
        self.noise_nfe += len(x)
        return self.likelihood.score(x.reshape(-1, *self.shape)).reshape(x.shape)

    def score(self, x: Tensor) -> Tensor:
        """Score of the target at the level, shape of x, `(B, D)`."""
        prior = (self.prior.denoise(x, self.sigma) - x) / self.sigma**2
        return prior + self.likelihood_score(x)

    def curvature(self, x: Tensor) -> Tensor:
        """Ratio c of the curvature of the learned likelihood to that of the surrogate, `(rows, 1)`.

        It is measured along a random direction of the data, from a difference of scores, and averaged over the
        chains of each observation.
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
        """Runs chains from x `(B, D)` at the level, then the reverse SDE down to sigma_min; samples and diagnostics."""
        c = self.curvature(x)
        self.sigma = max(self.level or 0.2 / float(self.data.s.max()), sigma_min)
        covariance = 1 / (1 / self.sigma**2 + c * self.data.s**2)  # (B, K), along V
        self.diffuse(self.sigma)
        x = x + self.sigma * self.noise(len(x))
        S, accepted = self.score(x), torch.zeros(len(x), **self.like)
        for _ in self.bar(range(self.trajectories), "slichmc: chains"):
            x, S, yes = self.trajectory(x, S, covariance)
            accepted += yes / self.trajectories
        return self.descend(x, sigma_min), {
            "acceptance": accepted,
            "level": self.sigma,
            "curvature": float(c.mean()),
        }

    def power(self, v: Tensor, covariance: Tensor, p: float) -> Tensor:
        """C^p v, shape of v; C is `covariance` along V and sigma^2 in the complement."""
        white = self.sigma ** (2 * p)
        return white * v + ((v @ self.data.V) * (covariance**p - white)) @ self.data.V.T

    def trajectory(self, x: Tensor, S: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One proposal per chain and its Metropolis test; returns positions, scores, and which chains moved."""
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
        """Uniform numbers `(n,)`; each observation's generator draws an equal share."""
        each = n // len(self.generators)
        return torch.cat([torch.rand(each, generator=g, **self.like) for g in self.generators])

    def descend(self, x: Tensor, sigma_min: float) -> Tensor:
        """E[x0] at sigma_min, at the end of the prior's reverse SDE from the level; shape of x, `(B, D)`."""
        if self.sigma <= sigma_min * 1.001 or self.finish < 2:
            return self.prior.denoise(x, self.sigma)

        sigmas = geometric(self.finish, self.sigma, sigma_min)
        return short_run(self.prior.denoise, x, sigmas, lambda x: self.noise(len(x)))[1]
