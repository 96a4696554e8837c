r"""A hybrid prior: the Gaussian score of a power spectrum plus a learned residual.

.. math::
    D(x, \sigma) = D_G(x, \sigma) + T^\top C_\sigma \, T \, F(c_\mathrm{in} x, \, D_G / \sigma_d, \,
        \tfrac14 \log \sigma), \qquad D_G = m + T^\top \frac{P}{P + \sigma^2} \, T (x - m), \quad
    C_\sigma = \frac{\sigma^2 \sqrt{P}}{P + \sigma^2}

:math:`D_G` is the Wiener filter of a field with mean m whose cosine modes have variance P
(:mod:`skyscore.priors.field`). The result of theory therefore holds from the first training step on, above all on
scales as large as the patch. The network has to learn only the rest: peaks and voids, or stripes and cosmic-ray hits.

The gain :math:`C_\sigma` scales the residual of every mode to the size it can have. The score of a mode is of order
:math:`1 / \sqrt{P}` at small sigma, so that D - x is of order :math:`\sigma^2 / \sqrt{P}` there; at large sigma D - m
is of order :math:`\sqrt{P}`. An error of the network is then the same fraction of the score at all small levels. With
the single :math:`c_\mathrm{out} \approx \sigma` of a plain network this fraction grows as :math:`1 / \sigma`.

References: Remy et al. (2022), arXiv:2201.05561 (Gaussian and neural score); Karras et al. (2022),
arXiv:2206.00364 (preconditioning). Deviations: cosine modes, and the gain C instead of a spectral norm.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from skyscore.diffusion.network import UNet, unit_error

from .field import FieldDenoiser, FieldPrior
from .neural import NeuralPrior

__all__ = ["HybridDenoiser", "HybridPrior"]


class HybridDenoiser(FieldDenoiser):
    """The hybrid denoiser D of images of shape `(1, pixels, pixels)`; untrained, it is the Wiener filter.

    Arguments:
        pixels: pixels on a side.
        sigma_data: standard deviation of the pixel values, in prior units.
        network: arguments of :class:`skyscore.diffusion.network.UNet`.
        power: variances P of the cosine modes, `(pixels, pixels)`, in prior units squared.
        mean: the mean m of all pixels, in prior units.
    """

    def __init__(self, pixels: int, sigma_data: float, network: dict, power: Tensor, mean: float = 0.0):
        super().__init__(pixels, sigma_data, power, mean)
        self.network = dict(network)
        self.net = UNet(pixels, **network, inputs=2)
        nn.init.zeros_(self.net.head.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 | x_t = x], shape of x, `(B, 1, H, W)`; sigma of shape `(B,)`."""
        s, sd = sigma.view(-1, 1, 1, 1), self.sigma_data
        wiener = self.mean + self.filter(x - self.mean, lambda P: P / (P + s**2))
        inputs = torch.cat([x / (s**2 + sd**2).sqrt(), wiener / sd], dim=1)
        out = self.net(inputs, sigma.log() / 4)
        return wiener + self.filter(out, lambda P: self.gain(P, s**2))

    def gain(self, P: Any, s2: Tensor) -> Tensor:
        """C: the size of the network's contribution to modes of variance P, at the squared level s2."""
        return s2 * P**0.5 / (P + s2)

    def scaled(self, error: Tensor, sigma: Tensor) -> Tensor:
        """The error divided by its expected size; the loss is its mean square."""
        return unit_error(error, sigma, self.sigma_data)


class HybridPrior(FieldPrior):
    """The prior of a trained :class:`HybridDenoiser`; arguments as for :class:`skyscore.priors.NeuralPrior`."""

    kind = "hybrid"
    sample = NeuralPrior.sample  # type: ignore[assignment]  # with the options of a network

    def about(self) -> dict:
        return {**super().about(), "network": self.model.network}

    def tensors(self) -> dict[str, Tensor]:
        return {**NeuralPrior.tensors(self), "power": self.model.power}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> HybridDenoiser:
        return HybridDenoiser(
            about["pixels"], about["sigma_data"], about["network"], tensors["power"], about["mean"]
        )
