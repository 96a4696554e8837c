r"""The Gaussian prior, whose denoiser is the Wiener filter.

.. math:: D(x, \sigma) = \mu + C (C + \sigma^2 I)^{-1} (x - \mu)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .mixture import GaussianMixturePrior

if TYPE_CHECKING:
    from skyscore.likelihoods import GaussianLikelihood

__all__ = ["GaussianPrior"]


class GaussianPrior(GaussianMixturePrior):
    """The prior N(mean, covariance), a mixture with one component.

    Arguments:
        mean: shape `(D,)`, in the units of x.
        covariance: shape `(D, D)`, symmetric, positive semi-definite, in the units of x squared.

    Raises:
        ValueError: if the shapes do not fit or the covariance is not positive semi-definite.
    """

    def __init__(self, mean: Tensor, covariance: Tensor):
        super().__init__(torch.ones(1, dtype=mean.dtype, device=mean.device), mean[None], covariance[None])

    @property
    def mean(self) -> Tensor:
        return self.means[0]

    @property
    def covariance(self) -> Tensor:
        return self.covariances[0]

    def posterior(self, likelihood: GaussianLikelihood) -> GaussianPrior:
        """The exact posterior, which is again Gaussian."""
        return GaussianPrior(*(t[0] for t in self.components_given(likelihood)[1:]))
