r"""A hybrid prior over principal components, for images that are alike in where they are dark.

.. math::
    D(x, \sigma) = D_G(x, \sigma) + U^\top C_\sigma \, U \, F(c_\mathrm{in} x, \, D_G / \sigma_d, \,
        \tfrac14 \log \sigma), \qquad D_G = m + U^\top \frac{\lambda}{\lambda + \sigma^2} \, U (x - m), \quad
    C_\sigma = \frac{\sigma^2 \sqrt{\lambda}}{\lambda + \sigma^2} \, \frac{\lambda_1}{\lambda_1 + \sigma^2}

with the mean m and the principal components U, of variances :math:`\lambda`, of the training set. Galaxies fill the
middle of their image; the variance of the components falls by more than five orders of magnitude. Guidance asks for
:math:`\sigma^2 \partial D / \partial x`, the covariance of what is not known yet, and one :math:`c_\mathrm{out}` for
all pixels leaves in it noise of the network that is hundreds of times the variance of the faint directions. With the
gain of each component the noise is a share of its own standard deviation. The last factor, with the largest variance
:math:`\lambda_1`, is how the difference to a Gaussian goes at large sigma: D is the mean of the prior tilted by
:math:`x / \sigma^2`, its first order :math:`D_G`, and the next falls as :math:`\sigma^{-2}`.

The sum of squares over pixels is that of the bright ones. Each component's error is weighted on the way (`OWN` of it in
logarithms) from one weight for all to the weight of its own variance, and all so that the linear denoiser has the same
expected loss, 1, at every level:

.. math:: L \propto \sum_k w_k^2 \, e_k^2, \qquad
    w_k^2 = \Big( \frac{\lambda_k + \sigma^2}{\sigma^2 \lambda_k} \Big)^q

Beyond `RANK` components (images of more than 32 pixels on a side) all other directions have their mean variance.

References: Karras et al. (2022), arXiv:2206.00364, table 1 (preconditioning by one variance). The gain and the weight
of each component are not in the literature known to us.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from skyscore.diffusion.training import SYMMETRIES, symmetry, turned

from .hybrid import HybridDenoiser, HybridPrior
from .neural import NeuralPrior

__all__ = ["PrincipalDenoiser", "PrincipalPrior", "principal_components"]

RANK = 1024
OWN = 0.25  # q: a network with 0.5, and lower levels, had draws of galaxies that failed PQMass
DENSE = 4096  # pixels; of more, the covariance is not made, and each of ENOUGH images has one turn, drawn at random
ENOUGH = 20_000
FLOOR = 1e-9  # of a variance, relative to the largest


def principal_components(
    images: np.ndarray, group: str = "none", rank: int = RANK
) -> tuple[Tensor, Tensor, Tensor, float]:
    """Mean and principal components of images `(N, 1, n, n)` and their flips and turns.

    Returns:
        The mean `(1, n, n)`; components, orthonormal rows in half precision `(K, n^2)`, K at most `rank`; their
        variances `(K,)`; and the mean variance of all other directions.
    """
    dense, turns = images[0].size <= DENSE, range(SYMMETRIES[group])
    x = torch.as_tensor(np.asarray(images if dense else images[:ENOUGH]))
    mean = sum(turned(x.double().mean(0, keepdim=True), torch.tensor([k])) for k in turns) / len(turns)
    x = (x.double() - mean).to(x.dtype)  # the mean is the same whichever way an image is turned
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

    The rounding is made good before the components are used, in training too: an error of 5e-4 in D, of the brightest
    pixel, would be as large as the faintest sigma.
    """
    return torch.linalg.qr(rows.double().T).Q.T.contiguous()


class PrincipalDenoiser(HybridDenoiser):
    """Creates the denoiser D of images of shape `(1, pixels, pixels)`; untrained, it is the best linear one.

    Arguments:
        pixels, sigma_data, network: see :class:`skyscore.priors.hybrid.HybridDenoiser`.
        mean, components, power, residual: as :func:`principal_components` returns them.
    """

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

    def filter(self, x: Tensor, gain: Callable[[Tensor | float], Tensor]) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            flat = x.float().reshape(len(x), 1, 1, -1)
            rest = gain(self.residual)
            return (rest * flat + ((gain(self.power) - rest) * (flat @ self.U.T)) @ self.U).view(x.shape)

    def gain(self, P: Tensor | float, s2: Tensor) -> Tensor:
        return super().gain(P, s2) * self.largest / (self.largest + s2)

    def scaled(self, error: Tensor, sigma: Tensor) -> Tensor:
        """The error in units of what is expected of each component; see the module."""
        s2, P, D = sigma.view(-1, 1, 1, 1) ** 2, self.power, error[0].numel()
        # expected square of the linear denoiser's weighted error: w^2 V, with V = P s2 / (P + s2) and w^2 = V^-q
        left = (P * s2 / (P + s2)) ** (1 - OWN)
        rest = (self.residual * s2 / (self.residual + s2)) ** (1 - OWN)
        expected = (left.sum(-1, keepdim=True) + (D - len(P)) * rest) / D
        return self.filter(error, lambda P: ((P + s2) / (P * s2)) ** (OWN / 2)) / expected.sqrt()


class PrincipalPrior(HybridPrior):
    """Creates a prior from a trained :class:`PrincipalDenoiser`; see :class:`skyscore.priors.NeuralPrior`."""

    kind = "principal"

    def about(self) -> dict:
        return {**NeuralPrior.about(self), "residual": self.model.residual}

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "mean": self.model.mean, "components": self.model.components}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> PrincipalDenoiser:
        parts = (tensors[name] for name in ("mean", "components", "power"))
        return PrincipalDenoiser(
            about["pixels"], about["sigma_data"], about["network"], *parts, about["residual"]
        )
