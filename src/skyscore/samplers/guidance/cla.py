r"""Convolved likelihood approximation (CLA).

The likelihood is convolved with the diffusion kernel as if the prior were flat,

.. math:: p(y \mid x_t) \approx N(y; A x_t, \Sigma + \sigma_t^2 A A^\top)

This needs no derivative of the network. It is exact only for unobserved directions and in the limit of vanishing
noise. Posteriors are up to a third too narrow around a signal-to-noise ratio of 1, and directions dominated by noise
are over-fitted. For a prior N(0, P) and data y = x + N(0, b) the reverse SDE ends at

.. math:: E = y P b \Big[\frac{1}{b (P - b)} - \frac{\ln P/b}{(P - b)^2}\Big], \quad
    \mathrm{Var} = P^2 b^2 \Big[\frac{P + b}{P b (P - b)^2} - \frac{2 \ln P/b}{(P - b)^3}\Big]

References: Adam et al. (2022), arXiv:2211.03812, appendix A; Remy et al. (2022), arXiv:2201.05561.
"""

from __future__ import annotations

from torch import Tensor

from .base import Guidance

__all__ = ["CLA"]


class CLA(Guidance):
    """The CLA sampler. Its arguments are those of :class:`~skyscore.samplers.guidance.base.Guidance`."""

    name = "cla"
    reference = "Adam et al. (2022), arXiv:2211.03812, appendix A"
    failure = "up to a third too narrow at a signal-to-noise ratio of 1; over-fits where noise dominates"
    exact_for = "unobserved directions, and the limit of vanishing noise"

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        D = self.prior.denoise(x_t, sigma_t)
        return D + sigma_t**2 * self.likelihood_score(x_t, sigma_t**2)
