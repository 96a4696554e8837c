r"""A hybrid prior in principal components, for images with common dark regions.

.. math::
    D(x, \sigma) = D_G(x, \sigma) + U^\top C_\sigma \, U \, F(c_\mathrm{in} x, \, D_G / \sigma_d, \,
        \tfrac14 \log \sigma), \qquad D_G = m + U^\top \frac{\lambda}{\lambda + \sigma^2} \, U (x - m), \quad
    C_\sigma = \frac{\sigma^2 \sqrt{\lambda}}{\lambda + \sigma^2} \, \frac{\lambda_1}{\lambda_1 + \sigma^2}

with the mean m and the principal components U, of variances :math:`\lambda`, of the training set. Galaxies fill the
middle of their image, so that the variance of the components falls by more than five orders of magnitude. Guidance
needs :math:`\sigma^2 \partial D / \partial x`, the covariance of x0 given x. With one :math:`c_\mathrm{out}` for all
pixels, the noise of the network in this covariance is hundreds of times the variance of the faint directions. With
one gain per component it is a fraction of the component's own standard deviation.

The last factor of the gain, with the largest variance :math:`\lambda_1`, describes how the difference to a Gaussian
falls at large sigma. There D is the mean of the prior tilted by :math:`x / \sigma^2`; the first order is :math:`D_G`,
and the next order falls as :math:`\sigma^{-2}`.

Bright pixels dominate the sum of squares over pixels. The weight of each component's error therefore lies between two
extremes: one weight for all, and the inverse of its own variance
:math:`\sigma^2 \lambda_k / (\lambda_k + \sigma^2)`. The exponent q (`OWN`) interpolates between
the two, from 0 to 1. The normalisation gives the linear denoiser the same expected loss, 1, at every level:

.. math:: L \propto \sum_k w_k^2 \, e_k^2, \qquad
    w_k^2 = \Big( \frac{\lambda_k + \sigma^2}{\sigma^2 \lambda_k} \Big)^q

Images of more than 32 pixels on a side have more than `RANK` components; all directions beyond these have their mean
variance.

References: Karras et al. (2022), arXiv:2206.00364, table 1 (preconditioning with one variance). To our knowledge the
gain and the weight per component are not in the literature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skyscore.diffusion.training import SYMMETRIES, symmetry, turned
from skyscore.statistics.moments import Moments, leading_moments

from .hybrid import HybridDenoiser, HybridPrior
from .neural import NeuralPrior

__all__ = ["PrincipalDenoiser", "PrincipalPrior", "principal_components"]

RANK = 1024
OWN = 0.25  # q: galaxies drawn by a network with q = 0.5 and lower levels failed PQMass
DENSE = 4096  # above this number of pixels there is no covariance matrix, and each image has one random turn
ENOUGH = 20_000  # number of images used above DENSE pixels
FLOOR = 1e-9  # smallest variance, relative to the largest


def principal_components(
    images: np.ndarray, group: str = "none", rank: int = RANK
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Mean and principal components of images `(N, 1, n, n)`, including their flips and turns.

    Arguments:
        images: training set, in prior units.
        group: symmetry of the images, a key of `SYMMETRIES`.
        rank: maximum number of components.

    Returns:
        The mean `(1, n, n)`; the components, orthonormal rows in half precision `(K, n^2)`, K at most `rank`; their
        variances `(K,)`; and the mean variance of all other directions.
    """
    dense, turns = images[0].size <= DENSE, range(SYMMETRIES[group])
    x = torch.as_tensor(np.asarray(images if dense else images[:ENOUGH]))
    each = [turned(x.double().mean(0, keepdim=True), torch.tensor([k])) for k in turns]
    mean = torch.as_tensor(sum(each) / len(turns))
    x = (x.double() - mean).to(x.dtype)  # flips and turns do not change the mean
    if dense:
        covariance = torch.zeros(mean.numel(), mean.numel(), dtype=torch.float64)
        for k in turns:
            r = turned(x, torch.full((len(x),), k)).double().flatten(1)
            covariance += r.T @ r / (len(turns) * len(x))
        U = torch.linalg.eigh(covariance).eigenvectors.T.flip(0)[:rank].half()
        exact, total = orthonormal(U), float(covariance.trace())
        variances = ((exact @ covariance) * exact).sum(1)
    else:
        r = symmetry(x, torch.Generator().manual_seed(0), group).flatten(1)
        U = torch.svd_lowrank(r, q=rank)[2].T.half()
        exact, total = orthonormal(U), float(r.square().sum()) / len(r)
        variances = (r @ exact.T.to(r)).double().square().mean(0)
    floor = FLOOR * float(variances.max())
    rest = max((total - float(variances.sum())) / max(mean.numel() - len(U), 1), floor)
    return mean[0].float(), U, variances.clamp(min=floor).float(), rest


def orthonormal(rows: Tensor) -> Tensor:
    """The rows, rounded to half precision, made orthonormal again, float64.

    The rounding is corrected before the components are used, also in training: an error of 5e-4 in D, relative to the
    brightest pixel, would be as large as the smallest sigma.
    """
    return torch.linalg.qr(rows.double().T).Q.T.contiguous()


class PrincipalDenoiser(HybridDenoiser):
    """The denoiser D of images of shape `(1, pixels, pixels)`; untrained, it is the best linear denoiser.

    Arguments:
        pixels, sigma_data, network: see :class:`skyscore.priors.hybrid.HybridDenoiser`.
        mean, components, power, residual: as :func:`principal_components` returns them.
    """

    components: Tensor
    U: Tensor

    def __init__(
        self,
        pixels: int,
        sigma_data: float,
        network: dict,
        mean: Tensor,
        components: Tensor,
        power: Tensor,
        residual: float,
    ):
        super().__init__(pixels, sigma_data, network, power)
        self.register_buffer("mean", mean.float())
        self.register_buffer("components", components.half())
        self.register_buffer("U", orthonormal(components.half()).float(), persistent=False)
        self.residual, self.largest = residual, float(power.max())

    def filter(self, x: Tensor, gain: Callable[[Any], Tensor]) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            flat = x.float().reshape(len(x), 1, 1, -1)
            rest = gain(self.residual)
            return (rest * flat + ((gain(self.power) - rest) * (flat @ self.U.T)) @ self.U).view(x.shape)

    def gain(self, P: Any, s2: Tensor) -> Tensor:
        return super().gain(P, s2) * self.largest / (self.largest + s2)

    def scaled(self, error: Tensor, sigma: Tensor) -> Tensor:
        """The error of each component divided by its expected size; see the module."""
        s2, P, D = sigma.view(-1, 1, 1, 1) ** 2, self.power, error[0].numel()
        # expected square of the linear denoiser's weighted error: w^2 V, with V = P s2 / (P + s2) and w^2 = V^-q
        left = (P * s2 / (P + s2)) ** (1 - OWN)
        rest = (self.residual * s2 / (self.residual + s2)) ** (1 - OWN)
        expected = (left.sum(-1, keepdim=True) + (D - len(P)) * rest) / D
        return self.filter(error, lambda P: ((P + s2) / (P * s2)) ** (OWN / 2)) / expected.sqrt()


class PrincipalPrior(HybridPrior):
    """The prior of a trained :class:`PrincipalDenoiser`; arguments as for :class:`skyscore.priors.NeuralPrior`."""

    kind = "principal"

    def moments(self) -> Moments:
        """The moments of the training images, including their flips and turns."""
        model = self.model
        m, U, v = (t.cpu().numpy() for t in (model.mean, model.U, model.power))
        return leading_moments(m, U, v, model.residual)

    def about(self) -> dict:
        return {**NeuralPrior.about(self), "residual": self.model.residual}

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "mean": self.model.mean, "components": self.model.components}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> PrincipalDenoiser:
        mean, components, power = (tensors[name] for name in ("mean", "components", "power"))
        return PrincipalDenoiser(
            about["pixels"], about["sigma_data"], about["network"], mean, components, power, about["residual"]
        )
