r"""A hybrid prior: the Gaussian score of a power spectrum and a learned residual.

.. math::
    D(x, \sigma) = D_G(x, \sigma) + T^\top C_\sigma \, T \, F(c_\mathrm{in} x, \, D_G / \sigma_d, \,
        \tfrac14 \log \sigma), \qquad D_G = m + T^\top \frac{P}{P + \sigma^2} \, T (x - m), \quad
    C_\sigma = \frac{\sigma^2 \sqrt{P}}{P + \sigma^2}

:math:`D_G` is the Wiener filter of a field of mean m whose modes have variance P. T is the cosine transform, the
Fourier transform of the patch and its mirror images: a patch of the sky is not periodic, and its own Fourier modes
would join its opposite edges. In it a stationary field is almost uncorrelated, with variances that follow from its
covariance :math:`\xi` exactly (:func:`cosine_power`). What theory knows holds from the first step on, above all on
scales as large as the patch, and the network is left with peaks and voids, or with stripes and hits.

The gain :math:`C_\sigma` gives the residual of every mode the size it can have. The score of a mode is of order
:math:`1 / \sqrt{P}` at small sigma, so that D - x is of order :math:`\sigma^2 / \sqrt{P}` there; at large sigma D - m
is of order :math:`\sqrt{P}`. An error of the network is then the same fraction of the score at all small levels; behind
the one :math:`c_\mathrm{out} \approx \sigma` of a plain network it grows as :math:`1 / \sigma`.

References: Remy et al. (2022), arXiv:2201.05561, section 3.3 (Gaussian and neural score); Karras et al. (2022),
arXiv:2206.00364 (preconditioning). Deviations: cosine modes, and the gain C instead of a spectral norm.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from ..diffusion.network import UNet, unit_error
from .neural import NeuralPrior

__all__ = ["HybridDenoiser", "HybridPrior", "cosine_matrix", "cosine_power", "measured_power"]


def cosine_matrix(n: int) -> Tensor:
    """The orthonormal cosine transform (type II) T, `(n, n)`, float64; rows are modes."""
    i = torch.arange(n, dtype=torch.float64)
    T = torch.cos(torch.pi / n * i[:, None] * (i + 0.5)) * (2 / n) ** 0.5
    T[0] /= 2**0.5
    return T


def cosine_power(covariance: np.ndarray) -> np.ndarray:
    """Variances `(n, n)` of the cosine modes of a patch, given the covariance at lags 0 .. n - 1, even in both axes.

    With w_k(d) the autocorrelation of mode k at lag d, P_kl = sum_de w_k(d) xi(d, e) w_l(e): exact, without the matrix.
    """
    n = len(covariance)
    T = cosine_matrix(n).numpy()
    w = np.stack([np.correlate(mode, mode, "full")[n - 1 :] for mode in T])
    w[:, 1:] *= 2  # lags of both signs
    return w @ covariance @ w.T


def measured_power(images: np.ndarray, square: bool = True) -> np.ndarray:
    """Mean square `(n, n)` of the cosine modes of images `(N, 1, n, n)`; `square` makes rows and columns alike."""
    T = cosine_matrix(images.shape[-1]).numpy()
    power = sum(((T @ image @ T.T) ** 2) for image in images[:, 0]) / len(images)
    return (power + power.T) / 2 if square else power


class HybridDenoiser(nn.Module):
    """Creates the denoiser D of images of shape `(1, pixels, pixels)`; untrained, it is the Wiener filter.

    Arguments:
        pixels: pixels on a side.
        sigma_data: standard deviation of the images' pixels, in prior units.
        network: arguments of :class:`skyscore.diffusion.network.UNet`.
        power: variances P of the cosine modes, `(pixels, pixels)`, in prior units squared.
        mean: the mean m of all pixels, in prior units.
    """

    def __init__(self, pixels: int, sigma_data: float, network: dict, power: Tensor, mean: float = 0.0):
        super().__init__()
        self.pixels, self.sigma_data, self.network = pixels, sigma_data, dict(network)
        self.net = UNet(pixels, **network, inputs=2)
        nn.init.zeros_(self.net.head.bias)
        self.register_buffer("power", torch.as_tensor(power, dtype=torch.float32).clamp(min=0))
        self.register_buffer("mean", torch.tensor(float(mean)), persistent=False)
        self.register_buffer("T", cosine_matrix(pixels).float(), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 | x_t = x], shape of x = `(B, 1, H, W)`, sigma of shape `(B,)`."""
        s, sd = sigma.view(-1, 1, 1, 1), self.sigma_data
        wiener = self.mean + self.filter(x - self.mean, lambda P: P / (P + s**2))
        inputs = torch.cat([x / (s**2 + sd**2).sqrt(), wiener / sd], dim=1)
        out = self.net(inputs, sigma.log() / 4)
        return wiener + self.filter(out, lambda P: self.gain(P, s**2))

    def filter(self, x: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """Multiplies each mode of x by the gain of its variance, in full precision whatever surrounds it."""
        with torch.autocast(x.device.type, enabled=False):
            return self.T.T @ (gain(self.power) * (self.T @ x.float() @ self.T.T)) @ self.T

    def gain(self, P: Tensor, s2: Tensor) -> Tensor:
        """C: the size of what the network adds to modes of variance P, at the level squared s2."""
        return s2 * P**0.5 / (P + s2)

    def scaled(self, error: Tensor, sigma: Tensor) -> Tensor:
        """The error in units of what is expected: the loss is its mean square."""
        return unit_error(error, sigma, self.sigma_data)


class HybridPrior(NeuralPrior):
    """Creates a prior from a trained :class:`HybridDenoiser`; see :class:`skyscore.priors.NeuralPrior`."""

    kind = "hybrid"

    def start(self, n: int, generator: torch.Generator) -> Tensor:
        """Images at the first level, `(n, 1, H, W)`: the mean, and the variance P + sigma_max^2 of each mode.

        The largest scales may reach above sigma_max: their variance is there from the start.
        """
        z = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        z = z.to(self.model.power.device)
        return self.model.mean + self.model.filter(z, lambda P: (P + self.sigma_max**2) ** 0.5)

    def linear_covariance(self, x: Tensor, sigma: float) -> Tensor:
        """V x, `(B, 1, H, W)`, with V = P sigma^2 / (P + sigma^2): the linear part's covariance of x0 given x_t.

        The prior's own is near it at large sigma: what a solver wants as a preconditioner.
        """
        return self.model.filter(x, lambda P: P * sigma**2 / (P + sigma**2)).to(x.dtype)

    def about(self) -> dict:
        return {**super().about(), "mean": self.model.mean.item()}

    def tensors(self) -> dict[str, Tensor]:
        return {**super().tensors(), "power": self.model.power}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> HybridDenoiser:
        return HybridDenoiser(
            about["pixels"], about["sigma_data"], about["network"], tensors["power"], about["mean"]
        )
