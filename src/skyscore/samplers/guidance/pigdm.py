r"""Pseudo-inverse guidance (PiGDM).

.. math:: p(y \mid x_t) \approx N(y; A D, \Sigma + r_t^2 A A^\top), \qquad r_t^2 = \frac{P \sigma_t^2}{P + \sigma_t^2}

Here :math:`r_t^2` is the posterior variance of a white prior of variance P; the published method has P = 1. PiGDM is
exact only for the prior N(., P I).

Reference: Song et al. (2023), "Pseudoinverse-Guided Diffusion Models for Inverse Problems", ICLR (OpenReview
9_gsMA8MRKQ). Deviation: their sampler (algorithm 1) adds the guidance to a DDIM step, with its own weight; here its
score drives the reverse SDE.
"""

from __future__ import annotations

from torch import Tensor

from .base import Guidance

__all__ = ["PiGDM"]


class PiGDM(Guidance):
    """The PiGDM sampler.

    Arguments:
        prior_variance: P, in prior units squared.

    Raises:
        ValueError: if prior_variance is not positive.
    """

    name = "pigdm"
    reference = "Song et al. (2023), ICLR (OpenReview 9_gsMA8MRKQ)"
    failure = "assumes one width for all directions: too wide or too narrow if the prior is not white"
    needs_vjp = True
    exact_for = "white Gaussian priors of variance P"

    def __init__(self, *, prior_variance: float = 1.0, **options):
        super().__init__(**options)
        if not prior_variance > 0:
            raise ValueError(f"pigdm: prior_variance must be positive, not {prior_variance}")
        self.prior_variance = prior_variance

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        D, vjp = self.prior.denoise_vjp(x_t, sigma_t)
        r2 = self.prior_variance * sigma_t**2 / (self.prior_variance + sigma_t**2)
        return D + sigma_t**2 * vjp(self.likelihood_score(D, r2))
