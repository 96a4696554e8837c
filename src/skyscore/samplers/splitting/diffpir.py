r"""Denoising diffusion models for plug-and-play image restoration (DiffPIR).

At level s a proximal step pulls the denoised image D = E[x0 | x_s] to the data; the result is noised to level r,

.. math::
    \hat x_0 = \arg\min_x \; \tfrac12 \| \Sigma^{-1/2} (y - A x) \|^2 + \tfrac{\lambda}{2 s^2} \| x - D \|^2
        = D + c \, A^\top (\Sigma + c A A^\top)^{-1} (y - A D), \quad c = s^2 / \lambda \\
    x_r = \hat x_0 + r \Big( \sqrt{1 - \zeta} \, \frac{x_s - \hat x_0}{s} + \sqrt\zeta \, \epsilon \Big)

in variance-exploding coordinates x_t = x0 + sigma_t eps; for unit noise the paper's rho_t is lambda over s^2. No
gradient of the network is needed. The samples are the last :math:`\hat x_0`.

The method maximises a posterior; it does not sample one. With zeta = 1, many levels and a Gaussian prior it ends at
the posterior mean for data whose noise variance is lambda times larger than it is, and with half of that posterior's
variance; without data, with half of the prior's variance. With zeta = 0 and no data it is the probability-flow ODE.

Reference: Zhu et al. (2023), "Denoising Diffusion Models for Plug-and-Play Image Restoration", arXiv:2305.08995,
algorithm 1. Deviation: any noise covariance, by whitening. Defaults: the values of lambda and zeta of InverseBench
(Zheng et al. 2025, arXiv:2503.11043), whose rho_t is 2 lambda over s^2.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from skyscore.samplers.base import Sampler

__all__ = ["DiffPIR"]


class DiffPIR(Sampler):
    """The DiffPIR sampler.

    Arguments:
        lam: lambda, weight of the denoised image relative to the data.
        zeta: share of fresh noise between levels, 0 to 1.

    Raises:
        ValueError: if lam is not positive or zeta is not between 0 and 1.
    """

    name = "diffpir"
    reference = "Zhu et al. (2023), arXiv:2305.08995, algorithm 1"
    failure = "maximises instead of sampling: half the variance, for data lam times noisier (zeta 1)"
    exact_for = "the prior, if there are no data (zeta 0), in the limit of many steps"

    def __init__(self, *, lam: float = 8.0, zeta: float = 1.0, **options):
        super().__init__(**options)
        if not lam > 0:
            raise ValueError(f"diffpir: lam must be positive, not {lam}")
        if not 0 <= zeta <= 1:
            raise ValueError(f"diffpir: zeta must be between 0 and 1, not {zeta}")
        self.lam, self.zeta = lam, zeta

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = self.start(n, sigmas[0])
        for s, r in self.bar(list(itertools.pairwise(sigmas))):
            x0 = self.restore(x, s)
            x = x0 + r * (math.sqrt(1 - self.zeta) * (x - x0) / s + math.sqrt(self.zeta) * self.noise(n))
        return self.restore(x, sigmas[-1])

    def restore(self, x: Tensor, sigma: float) -> Tensor:
        """The proximal step from the denoised image, shape of x, `(B, D)`."""
        D, c = self.prior.denoise(x, sigma), sigma**2 / self.lam
        return D + c * self.likelihood_score(D, c)
