r"""Decoupled data consistency with diffusion purification (DCDP).

Two steps alternate while the level falls. Gradient descent with momentum fits the data, starting from the current
image. Then the prior purifies the result: it is noised to the level and denoised again,

.. math::
    v = \text{descent on } \tfrac12 \| \Sigma^{-1/2} (y - A v) \|^2 \text{ from } x, \qquad
    x = \text{denoised } (v + \sigma \epsilon)

in variance-exploding coordinates x_t = x0 + sigma_t eps. `ode_steps` selects the denoiser: more than 1 uses the
probability-flow ODE (the paper's first version), 1 uses Tweedie's mean (its second). No gradient of the network is
needed.

The descent does not know the noise: with enough steps it fits the data exactly, including their noise, and the last
levels are too small to change that. The samples are different reconstructions, not a posterior. Without data the
first version keeps the law of the prior; alternating Tweedie's mean with noise loses half of the prior's variance.

Reference: Li et al. (2024), "Decoupled Data Consistency with Diffusion Purification for Image Restoration",
arXiv:2403.06054, and its code (both versions, the momentum). Deviations: the misfit is whitened; the step of the
descent is relative to its largest curvature; levels are equally spaced in log sigma (the paper's fall linearly in its
time); the start is the prior's mean (there zero).
"""

from __future__ import annotations

from torch import Tensor

from skyscore.diffusion.schedule import flow, geometric
from skyscore.samplers.base import Sampler

__all__ = ["DCDP"]


class DCDP(Sampler):
    """The DCDP sampler.

    Arguments:
        steps: total number of evaluations: turns x ode_steps.
        ode_steps: evaluations of the ODE in each purification; 1 means Tweedie's mean.
        fit_steps: descent steps in each turn; they cost no evaluation of the network.
        rate: size of a descent step in units of the inverse of the largest curvature, below 2 (1 + momentum).
        momentum: momentum of the descent, 0 to 1.

    Raises:
        ValueError: if an option is outside its range.
    """

    name = "dcdp"
    reference = "Li et al. (2024), arXiv:2403.06054"
    failure = "fits the noise of the data; loses half of the prior's variance with ode_steps 1"
    exact_for = "the prior, if there are no data, in the limit of many ode_steps and turns"
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
                "dcdp: the descent needs 0 <= momentum < 1 and 0 < rate < 2 (1 + momentum), "
                f"not {momentum} and {rate}"
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
        """Gradient descent on the misfit from v, shape of v, `(B, D)`."""
        move: Tensor | float = 0.0
        for _ in range(self.fit_steps if self.curvature > 0 else 0):
            move = self.momentum * move + self.likelihood_score(v, 0.0)
            v = v + self.rate / self.curvature * move
        return v
