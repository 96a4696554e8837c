"""Guidance: replace E[x0 | x_t] by an estimate of E[x0 | x_t, y] and go down the noise levels with it."""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from skyscore.diffusion.schedule import correction, predict
from skyscore.samplers.base import Sampler

__all__ = ["Guidance"]


class Guidance(Sampler):
    """Samplers that replace E[x0 | x_t] by an estimate of E[x0 | x_t, y] and go down the levels with it.

    Arguments:
        churn: noise of the steps: 1 for the reverse SDE, 0 for the probability-flow ODE, between them for a part of it
            (:mod:`skyscore.diffusion.schedule`). Noise mends what an estimate got wrong at higher levels; but where
            steps are few, all of it leaves the samples of a learned prior too narrow.
        correctors: Langevin steps at each level, each costing one more `posterior_denoise`.
        tau: their size in units of sigma^2.
    """

    def __init__(self, *, churn: float = 1.0, correctors: int = 0, tau: float = 0.1, **options):
        super().__init__(**options)
        if not 0 <= churn <= 1:
            raise ValueError(f"{self.name}: churn must be between 0 and 1, not {churn}")
        self.churn, self.correctors, self.tau = churn, correctors, tau

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        """E[x0 | x_t, y], shape of x_t = `(B, D)`."""
        raise NotImplementedError(f"{self.name} defines no posterior_denoise")

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = self.start(n, sigmas[0])
        D = self.posterior_denoise(x, sigmas[0])
        for s, r in self.bar(list(itertools.pairwise(sigmas))):
            x = predict(x, D, s, r, self.noise(n), self.churn)
            D_r = self.posterior_denoise(x, r)
            x, D = x + correction(s, r, self.churn) * (D_r - D), D_r
            for _ in range(self.correctors):
                x, D = self.langevin(x, D, r)
        return D

    def langevin(self, x: Tensor, D: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """One unadjusted Langevin step x + tau sigma^2 S + sigma sqrt(2 tau) eps with S = (D - x) / sigma^2."""
        x = x + self.tau * (D - x) + sigma * math.sqrt(2 * self.tau) * self.noise(len(x))
        return x, self.posterior_denoise(x, sigma)
