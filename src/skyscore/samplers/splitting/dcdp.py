r"""Decoupled data consistency with diffusion purification (DCDP).

Alternates two steps while the level falls: the data are fitted by gradient descent with momentum, from the image as it
is, and the result is purified by the prior, noised to the level and denoised again,

.. math::
    v = \text{descent on } \tfrac12 \| \Sigma^{-1/2} (y - A v) \|^2 \text{ from } x, \qquad
    x = \text{denoised } (v + \sigma \epsilon)

in variance-exploding coordinates x_t = x0 + sigma_t eps. `ode_steps` says how: by the probability-flow ODE (the paper's
first version), or, with 1, by Tweedie's mean (its second). No gradient of the network.

Descent knows no noise: with steps enough the data are fitted to the last digit, noise and all, and the last levels,
which are small, leave that as it is. Samples are reconstructions that differ, and no posterior. Without data the first
version keeps the law of the prior; Tweedie's mean, by turns with noise, loses half of its variance.

Reference: Li et al. (2024), "Decoupled Data Consistency with Diffusion Purification for Image Restoration",
arXiv:2403.06054, and its code (both versions, the momentum). Deviations: the misfit is whitened; the descent's step is
relative to its largest curvature; levels equally spaced in log sigma (the paper's fall linearly in its time); the start
is the prior's mean (there zero).
"""

from __future__ import annotations

from torch import Tensor

from skyscore.diffusion.schedule import flow, geometric
from skyscore.samplers.base import Sampler

__all__ = ["DCDP"]


class DCDP(Sampler):
    """Creates the sampler.

    Arguments:
        steps: evaluations in all: turns x ode_steps.
        ode_steps: evaluations of the ODE in each purification; 1 is Tweedie's mean.
        fit_steps: steps of the descent in each turn; they cost no evaluation of the network.
        rate: their size over the inverse of the largest curvature, below 2 (1 + momentum).
        momentum: of the descent, 0 to 1.
    """

    name = "dcdp"
    reference = "Li et al. (2024), arXiv:2403.06054"
    failure = "fits the noise of the data; half the prior's variance is lost with ode_steps 1"
    exact_for = "the prior where there are no data, as ode_steps and turns grow"
    needs_svd = False

    def __init__(
        self, *, ode_steps: int = 5, fit_steps: int = 10, rate: float = 1.0, momentum: float = 0.9, **options
    ):
        super().__init__(**options)
        if ode_steps < 1 or fit_steps < 1:
            raise ValueError(
                f"dcdp: ode_steps and fit_steps must be at least 1, not {ode_steps}, {fit_steps}"
            )
        if not (0 <= momentum < 1 and 0 < rate < 2 * (1 + momentum)):
            raise ValueError(
                f"dcdp: descent needs 0 <= momentum < 1 and 0 < rate < 2 (1 + momentum), not {momentum}, {rate}"
            )
        self.ode_steps, self.fit_steps, self.rate, self.momentum = ode_steps, fit_steps, rate, momentum

    def prepare(self, sigma_max: float) -> None:
        self.curvature = float(self.data.s.max()) ** 2

    def run(self, sigmas: list[float], n: int) -> Tensor:
        levels = geometric(max(len(sigmas) // self.ode_steps, 2), sigmas[0], sigmas[-1])
        x = self.centre.expand(n, -1)
        for sigma in self.bar(levels):
            x = flow(self.prior.denoise, self.fit(x) + sigma * self.noise(n), sigma, self.ode_steps)
        return x

    def fit(self, v: Tensor) -> Tensor:
        """Gradient descent on the misfit from v, shape of v = `(B, D)`."""
        move = 0.0
        for _ in range(self.fit_steps if self.curvature > 0 else 0):
            move = self.momentum * move + self.likelihood_score(v, 0.0)
            v = v + self.rate / self.curvature * move
        return v
