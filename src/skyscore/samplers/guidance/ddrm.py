r"""Denoising diffusion restoration models (DDRM): a separate rule for each singular vector of the whitened operator.

Along a singular vector of :math:`\Sigma^{-1/2} A` with singular value :math:`s_i` the data measure
:math:`\bar y_i = d_i / s_i` with the error :math:`1 / s_i`. With D = E[x0 | x_s], and all quantities along that
vector, the step from level s to r is

.. math::
    s_i = 0: \quad & x_r = D + \sqrt{1 - \eta^2} \, \tfrac rs (x_s - D) + \eta \, r \, \epsilon \\
    r < 1 / s_i: \quad & x_r = D + \sqrt{1 - \eta^2} \, r \, \frac{\bar y_i - D}{1 / s_i} + \eta \, r \, \epsilon \\
    r \ge 1 / s_i: \quad & x_r = (1 - \eta_b) D + \eta_b \bar y_i + \sqrt{r^2 - \eta_b^2 / s_i^2} \; \epsilon

The chain starts at :math:`N(\bar y_i, \sigma_1^2 - 1 / s_i^2)` where the error of the data is smaller than the first
level, and ends with D. These are the paper's own coordinates, x_t = x0 + sigma_t eps; whitening extends the method to
any noise covariance. It needs no gradient of the network.

The method is variational: x_r follows the law of the forward process only if D equals x0. For a prior N(0, P) without
data and with many steps the variance tends to :math:`P (1 + \sqrt{1 - \eta^2}) / 2`, three quarters of P at the usual
eta. With eta = 0 the method is the probability-flow ODE and the variance is right. Where there are data, the second
rule pulls to :math:`\bar y_i` by a share of order r, not r^2, which is stronger than any prior at small levels. With
many steps the samples therefore collapse onto :math:`\bar y_i`, including its noise.

Reference: Kawar et al. (2022), "Denoising Diffusion Restoration Models", arXiv:2201.11793.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from skyscore.samplers.base import Sampler

__all__ = ["DDRM"]


class DDRM(Sampler):
    """The DDRM sampler.

    Arguments:
        eta: share of fresh noise in directions without data, or with errors larger than the level, 0 to 1.
        eta_b: weight of the data in directions with errors smaller than the level, 0 to 1.

    Raises:
        ValueError: if eta or eta_b is not between 0 and 1.
    """

    name = "ddrm"
    reference = "Kawar et al. (2022), arXiv:2201.11793"
    failure = "with many steps samples collapse onto the data; too narrow in unobserved directions (eta > 0)"
    exact_for = "the prior, if there are no data (eta 0), in the limit of many steps"

    def __init__(self, *, eta: float = 0.85, eta_b: float = 1.0, **options):
        super().__init__(**options)
        if not (0 <= eta <= 1 and 0 <= eta_b <= 1):
            raise ValueError(f"ddrm: eta and eta_b must be between 0 and 1, not {eta} and {eta_b}")
        self.eta, self.eta_b = eta, eta_b

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = self.first(n, sigmas[0])
        for s, r in self.bar(list(itertools.pairwise(sigmas))):
            x = self.step(x, self.prior.denoise(x, s), s, r)
        return self.prior.denoise(x, sigmas[-1])

    def first(self, n: int, sigma: float) -> Tensor:
        """Images at the first level, `(n, D)`; centred on the data where their error is below the level."""
        V, s, d = self.data.V, self.data.s, self.data.d
        eps = self.noise(n)
        x = self.centre + sigma * eps
        sharp = sigma * s >= 1
        error = 1 / s.clamp_min(1 / sigma)
        given = d * error + (sigma**2 - error**2).clamp_min(0).sqrt() * (eps @ V)
        return x + torch.where(sharp, given - x @ V, 0) @ V.T

    def step(self, x: Tensor, D: Tensor, s: float, r: float) -> Tensor:
        """One step from level s to r, shape of x, `(B, D)`."""
        V, w, d = self.data.V, self.data.s, self.data.d
        keep, eps = math.sqrt(1 - self.eta**2), self.noise(len(x))
        x = D + keep * r / s * (x - D) + self.eta * r * eps
        D, eps = D @ V, eps @ V
        weak = D + keep * r * (d - w * D) + self.eta * r * eps
        error = 1 / w.clamp_min(1 / r)
        rest = (r**2 - self.eta_b**2 * error**2).clamp_min(0).sqrt()
        sharp = D + self.eta_b * (d * error - D) + rest * eps
        seen = torch.where(r * w >= 1, sharp, weak) - x @ V
        return x + torch.where(w > 0, seen, 0) @ V.T
