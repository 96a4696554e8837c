r"""Decoupled annealing posterior sampling (DAPS).

At level s the image is denoised to :math:`\hat x_0`. An image z is drawn as if x0 had the law
:math:`N(\hat x_0, s^2)`, and is noised to the next level r < s, independently of x_s:

.. math:: z \sim p(y \mid z) \, N(z; \hat x_0, s^2), \qquad x_r = z + r \, \epsilon

in variance-exploding coordinates x_t = x0 + sigma_t eps. The samples are the last z. Each part has two variants:

- `ode_steps`: with more than 1, :math:`\hat x_0` is the end of the probability-flow ODE after this many evaluations
  (the paper); with 1, it is Tweedie's mean E[x0 | x_s]. The end of the ODE already has the spread of the prior, and z
  adds its own: a Gaussian prior acts as one of twice its variance, and posteriors are too wide. With Tweedie's mean,
  :math:`z \approx x_s + s^2 [\nabla \log p_s(x_s) + \nabla \log p(y \mid x_s)] + s \, \epsilon` at small levels, so
  that each level is one Langevin step of size s^2 on the posterior: right in the limit of many levels.
- `data_step`: "exact" draws z from its Gaussian in the singular vectors of the whitened operator. "langevin", the
  variant of the paper, iterates
  :math:`z \leftarrow z + h [A^\top \Sigma^{-1} (y - A z) - (z - \hat x_0) / s^2] + \sqrt{2 h} \, \epsilon`
  with one step h for all directions, a fraction of the largest stable step along the best-measured direction. At
  large s, unobserved directions then hardly move from :math:`\hat x_0`.

Reference: Zhang et al. (2024), "Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing",
arXiv:2407.01521, algorithm 1. Deviations: the true noise of the data (the published code has a fixed one); Tweedie's
mean by default; the exact draw; levels equally spaced in log sigma; h follows from the operator.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from skyscore.diffusion.schedule import flow, geometric
from skyscore.samplers.base import Sampler

__all__ = ["DAPS"]


class DAPS(Sampler):
    """The DAPS sampler.

    Arguments:
        steps: total number of evaluations: levels x ode_steps.
        ode_steps: evaluations of the ODE at each level; 1 means Tweedie's mean.
        data_step: "exact" or "langevin", see the module.
        langevin_steps: Langevin steps at each level; they cost no evaluation of the network.
        rate: Langevin step h in units of the inverse of the largest curvature, below 2.

    Raises:
        ValueError: for an unknown data_step, or an option outside its range.
    """

    name = "daps"
    reference = "Zhang et al. (2024), arXiv:2407.01521, algorithm 1"
    failure = "chains stop moving where levels fall faster than they mix; too wide with ode_steps > 1"
    exact_for = "Gaussian priors (ode_steps 1), in the limit of many levels and sigma_min -> 0"

    def __init__(
        self,
        *,
        ode_steps: int = 1,
        data_step: str = "exact",
        langevin_steps: int = 100,
        rate: float = 0.5,
        **options,
    ):
        super().__init__(**options)
        if ode_steps < 1 or langevin_steps < 1:
            raise ValueError(
                f"daps: ode_steps and langevin_steps must be at least 1, not {ode_steps}, {langevin_steps}"
            )
        if data_step not in ("exact", "langevin"):
            raise ValueError(f'daps: data_step must be "exact" or "langevin", not {data_step!r}')
        if not 0 < rate < 2:
            raise ValueError(f"daps: rate must be between 0 and 2, not {rate}")
        self.ode_steps, self.data_step = ode_steps, data_step
        self.langevin_steps, self.rate = langevin_steps, rate

    def prepare(self, sigma_max: float) -> None:
        self.sharpest = float(self.data.s.max())

    def run(self, sigmas: list[float], n: int) -> Tensor:
        levels = geometric(max(len(sigmas) // self.ode_steps, 2), sigmas[0], sigmas[-1])
        draw = self.data_draw if self.data_step == "exact" else self.langevin
        x = self.start(n, levels[0])
        for s, r in self.bar(list(itertools.pairwise(levels))):
            z = draw(flow(self.prior.denoise, x, s, self.ode_steps), s)
            x = z + r * self.noise(n)
        return draw(flow(self.prior.denoise, x, levels[-1], self.ode_steps), levels[-1])

    def langevin(self, x0: Tensor, sigma: float) -> Tensor:
        """Draws z ~ p(y | z) N(z; x0, sigma^2) by Langevin steps from x0, shape of x0, `(B, D)`."""
        h = self.rate / (self.sharpest**2 + sigma**-2)
        z = x0
        for _ in range(self.langevin_steps):
            force = self.likelihood_score(z, 0.0) - (z - x0) / sigma**2
            z = z + h * force + math.sqrt(2 * h) * self.noise(len(z))
        return z
