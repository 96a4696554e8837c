r"""Annealed Langevin dynamics, unadjusted.

Each level runs a fixed number of steps

.. math:: x \leftarrow x + \tau \sigma^2 S(x) + \sigma \sqrt{2 \tau} \; \epsilon, \qquad
    S = \frac{D(x, \sigma) - x}{\sigma^2} + A^\top (\Sigma + \sigma^2 A A^\top)^{-1} (y - A x)

in variance-exploding coordinates x_t = x0 + sigma_t eps. The step is the same fraction tau of sigma^2 at all levels
(the paper's alpha_i = 2 tau sigma_i^2, its epsilon = 2 tau sigma_L^2), and the data are convolved with the noise of
the
level: for A A' = 1 that is the variance gamma_t^2 + sigma^2 of Jalal et al. with gamma_t equal to the level. The
iteration is stable for tau < 1, for any operator. `denoise` ends it with :math:`x + \sigma^2 S`.

As the level falls to zero the target becomes the posterior itself, for any prior: the likelihood at high levels only
decides where chains start. But an unadjusted step increases the variance, and a direction of posterior variance v
needs of order v / (tau sigma^2) steps to follow. Where levels fall faster than that, chains stop moving and remain
as wide as the level at which they stopped. There is no Metropolis test; :mod:`skyscore.samplers.chains.hmc` has one.

References: Song & Ermon (2019), arXiv:1907.05600, algorithm 1; Jalal et al. (2021), "Robust Compressed Sensing MRI
with Deep Generative Priors", arXiv:2108.01368 (the likelihood); Jolicoeur-Martineau et al. (2020), arXiv:2009.05475
(the last step). Deviation: tau of about one half and one step per level, in place of 0.1 and a hundred steps.
"""

from __future__ import annotations

import math

from torch import Tensor

from skyscore.diffusion.schedule import geometric
from skyscore.samplers.base import Sampler

__all__ = ["Langevin"]


class Langevin(Sampler):
    """The annealed Langevin sampler.

    Arguments:
        steps: total number of evaluations: levels x repeats, and one for the last step.
        repeats: Langevin steps at each level.
        tau: size of a step in units of sigma^2, below 1.
        denoise: whether the chain ends with the mean of x0 at the last level.

    Raises:
        ValueError: if repeats or tau is outside its range.
    """

    name = "langevin"
    reference = "Song & Ermon (2019), arXiv:1907.05600, algorithm 1; Jalal et al. (2021), arXiv:2108.01368"
    failure = "too wide where levels fall faster than chains mix; no test corrects the bias of a step"
    exact_for = "any prior, in the limit of many steps and sigma_min -> 0"

    def __init__(self, *, repeats: int = 1, tau: float = 0.5, denoise: bool = True, **options):
        super().__init__(**options)
        if repeats < 1:
            raise ValueError(f"langevin: repeats must be at least 1, not {repeats}")
        if not 0 < tau < 1:
            raise ValueError(f"langevin: tau must be between 0 and 1, not {tau}")
        self.repeats, self.tau, self.denoise = repeats, tau, denoise

    def run(self, sigmas: list[float], n: int) -> Tensor:
        levels = geometric(max((len(sigmas) - 1) // self.repeats, 2), sigmas[0], sigmas[-1])
        x = self.start(n, levels[0])
        for sigma in self.bar(levels):
            for _ in range(self.repeats):
                x = x + self.tau * self.move(x, sigma) + sigma * math.sqrt(2 * self.tau) * self.noise(n)
        return x + self.move(x, levels[-1]) if self.denoise else x

    def move(self, x: Tensor, sigma: float) -> Tensor:
        """sigma^2 S, shape of x, `(B, D)`."""
        return self.prior.denoise(x, sigma) - x + sigma**2 * self.likelihood_score(x, sigma**2)
