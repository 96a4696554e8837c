r"""Decoupled annealing posterior sampling (DAPS).

At level s the image is denoised to :math:`\hat x_0`, an image z is drawn as if x0 were :math:`\hat x_0` up to the width
of the level, and noised to the next level r < s, whatever x_s was:

.. math:: z \sim p(y \mid z) \, N(z; \hat x_0, s^2), \qquad x_r = z + r \, \epsilon

in variance-exploding coordinates x_t = x0 + sigma_t eps. Samples are the last z. Two ways to each part:

- `ode_steps`: :math:`\hat x_0` by so many evaluations of the probability-flow ODE (the paper), or, with 1, by
  Tweedie's mean E[x0 | x_s]. The ODE's end has the spread of the prior itself, to which z adds its own: a Gaussian
  prior counts as one of twice its variance, and posteriors are too wide. With the mean
  :math:`z \approx x_s + s^2 [\nabla \log p_s(x_s) + \nabla \log p(y \mid x_s)] + s \, \epsilon` at small levels, and
  a turn there is a Langevin step of size s^2 of the posterior: right as the levels grow many.
- `data_step`: "exact", the draw of z from its Gaussian in the singular vectors of the whitened operator; or "langevin",
  the paper's,
  :math:`z \leftarrow z + h [A^\top \Sigma^{-1} (y - A z) - (z - \hat x_0) / s^2] + \sqrt{2 h} \, \epsilon`
  with one step h for all directions, a share of what is stable along the sharpest one. At large s directions that the
  data do not see then hardly move from :math:`\hat x_0`.

Reference: Zhang et al. (2024), "Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing",
arXiv:2407.01521, algorithm 1. Deviations: the noise of the data is the true one (the published code has a fixed one);
Tweedie's mean by default; the exact draw; levels equally spaced in log sigma; h follows from the operator.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from skyscore.diffusion.schedule import flow, geometric
from skyscore.samplers.base import Sampler

__all__ = ["DAPS"]


class DAPS(Sampler):
    """Creates the sampler.

    Arguments:
        steps: evaluations in all: levels x ode_steps.
        ode_steps: evaluations of the ODE at each level; 1 is Tweedie's mean.
        data_step: "exact" or "langevin".
        langevin_steps: steps of the latter at each level; they cost no evaluation of the network.
        rate: its h over the inverse of the largest curvature, below 2.
    """

    name = "daps"
    reference = "Zhang et al. (2024), arXiv:2407.01521, algorithm 1"
    failure = "chains freeze where levels fall faster than they mix; too wide with ode_steps > 1"
    exact_for = "Gaussian priors, as the levels grow and sigma_min goes to 0 (ode_steps 1)"

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
        """z of p(y | z) N(z; x0, sigma^2) by Langevin steps from x0, shape of x0 = `(B, D)`."""
        h = self.rate / (self.sharpest**2 + sigma**-2)
        z = x0
        for _ in range(self.langevin_steps):
            force = self.likelihood_score(z, 0.0) - (z - x0) / sigma**2
            z = z + h * force + math.sqrt(2 * h) * self.noise(len(z))
        return z
