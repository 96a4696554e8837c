r"""Diffusion posterior sampling (DPS).

The likelihood is evaluated at the denoised image, as if x0 were known to equal it,

.. math:: p(y \mid x_t) \approx N(y; A D(x_t), \Sigma), \qquad \nabla = J^\top A^\top \Sigma^{-1} (y - A D)

`step="score"` follows the reverse SDE with this score. For a prior N(0, P) and data y = x + N(0, b) it ends at mean
:math:`y (1 - e^{-P/b})` and variance :math:`\tfrac b2 (1 - e^{-2P/b})`: half the true variance at high
signal-to-noise. There the equation is stiff and needs P / (4 b) steps per unit of log sigma.

`step="normalised"` is the published algorithm as the authors' code implements it: an ancestral step of the prior,
then a step of zeta times the gradient of the norm :math:`\|y - A D\|`, in variance-preserving coordinates. This step
is not a score, and it is not calibrated. (The paper has the gradient of the squared norm; its eq. 16 lacks the
factor 1/2 in the exponent of a Gaussian.) The step grows with the units of y. Here y is in units in which the
largest singular value of A is one, as it is for the paper's blurs and masks (averages over f x f pixels have 1 / f:
their step is f times the paper's). The norm is that of the part of y that A can explain, whitened where noise is
correlated.

References: Chung et al. (2023), arXiv:2209.14687, eq. 10-16 and algorithm 1.
"""

from __future__ import annotations

import itertools
import math

from torch import Tensor

from skyscore.diffusion.schedule import predict

from .base import Guidance

__all__ = ["DPS"]


class DPS(Guidance):
    """The DPS sampler.

    Arguments:
        step: "score" or "normalised", see the module.
        zeta: factor of the gradient in the normalised step.

    Raises:
        ValueError: for an unknown step.
    """

    name = "dps"
    reference = "Chung et al. (2023), arXiv:2209.14687, algorithm 1"
    failure = "half the variance and a mean pulled to the data at high S/N; the published step is not a score"
    needs_svd = False
    needs_vjp = True

    def __init__(self, *, step: str = "score", zeta: float = 1.0, **options):
        super().__init__(**options)
        if step not in ("score", "normalised"):
            raise ValueError(f'dps: step must be "score" or "normalised", not {step!r}')
        self.step, self.zeta = step, zeta

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        D, vjp = self.prior.denoise_vjp(x_t, sigma_t)
        return D + sigma_t**2 * vjp(self.likelihood_score(D, 0.0))

    def run(self, sigmas: list[float], n: int) -> Tensor:
        if self.step == "score":
            return super().run(sigmas, n)
        V, s, d = self.data.V, self.data.s, self.data.d
        unit = 1 / s.max()  # unit of the whitened data in which the largest singular value of A is one
        x = self.start(n, sigmas[0])
        for a, b in self.bar(list(itertools.pairwise(sigmas))):
            D, vjp = self.prior.denoise_vjp(x, a)
            r = d - s * (D @ V)
            step = vjp((s * r) @ V.T / r.norm(dim=1, keepdim=True)) * unit
            # x_vp = x / sqrt(1 + sigma^2): one unit in x_vp is sqrt((1 + a^2)(1 + b^2)) units of x
            scale = self.zeta * math.sqrt((1 + a**2) * (1 + b**2))
            x = predict(x, D, a, b, self.noise(n)) + scale * step
        return self.prior.denoise(x, sigmas[-1])
