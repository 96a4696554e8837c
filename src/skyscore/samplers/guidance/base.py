"""Guidance: the reverse diffusion with an estimate of E[x0 | x_t, y] in place of E[x0 | x_t]."""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from skyscore.diffusion.schedule import correction, predict
from skyscore.samplers.base import Sampler

__all__ = ["Guidance"]


class Guidance(Sampler):
    """Base class of samplers that replace E[x0 | x_t] by an estimate of E[x0 | x_t, y] along the noise levels.

    Arguments:
        eta: share of the noise of the reverse SDE in each step: 1 is the reverse SDE, 0 is the probability-flow ODE
            (:mod:`skyscore.diffusion.schedule`). The noise corrects errors made at higher levels. With few steps,
            however, full noise makes the samples of a learned prior too narrow. This is not S_churn of EDM (Karras et
            al. 2022), which raises the noise level before each step.
        correctors: Langevin steps at each level; each costs one more `posterior_denoise`.
        tau: size of a Langevin step, in units of sigma^2.

    Raises:
        ValueError: if `eta` is not between 0 and 1.
    """

    def __init__(self, *, eta: float = 1.0, correctors: int = 0, tau: float = 0.1, **options):
        super().__init__(**options)
        if not 0 <= eta <= 1:
            raise ValueError(f"{self.name}: eta must be between 0 and 1, not {eta}")
        self.eta, self.correctors, self.tau = eta, correctors, tau

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        """E[x0 | x_t, y], shape of x_t, `(B, D)`."""
        raise NotImplementedError(f"{self.name} defines no posterior_denoise")

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = self.start(n, sigmas[0])
        D = self.posterior_denoise(x, sigmas[0])
        for s, r in self.bar(list(itertools.pairwise(sigmas))):
            x = predict(x, D, s, r, self.noise(n), self.eta)
            D_r = self.posterior_denoise(x, r)
            x, D = x + correction(s, r, self.eta) * (D_r - D), D_r
            for _ in range(self.correctors):
                x, D = self.langevin(x, D, r)
        return D

    def langevin(self, x: Tensor, D: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """One unadjusted Langevin step x + tau sigma^2 S + sigma sqrt(2 tau) eps with S = (D - x) / sigma^2.

        Returns:
            The new x and its E[x0 | x, y], both `(B, D)`.
        """
        x = x + self.tau * (D - x) + sigma * math.sqrt(2 * self.tau) * self.noise(len(x))
        return x, self.posterior_denoise(x, sigma)
