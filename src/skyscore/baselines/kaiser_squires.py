r"""Kaiser-Squires inversion with the smoothing that minimises the expected error.

.. math:: \hat\kappa = S_w P^\top \gamma, \qquad
    w = \arg\min_w \, \mathrm{tr}\,[(B P - 1) C (B P - 1)^\top] + \mathrm{tr}\,[B \Sigma B^\top], \quad B = S_w P^\top

S is a Gaussian of width w (periodic); masked pixels of the shear are zero. The width minimises the expected error under
the covariance C of the field (independent cosine modes); the truth is never used.

References: Kaiser & Squires (1993), ApJ 404, 441; Remy et al. (2022), arXiv:2201.05561 (as a baseline).
"""

from __future__ import annotations

import torch
from torch import Tensor

from skyscore.operators.shear import ShearOperator
from skyscore.statistics.cosine import cosine_matrix

__all__ = ["gaussian_smoothing", "kaiser_squires"]

WIDTHS = torch.linspace(0.3, 4.0, 24)  # pixels
DRAWS = 64  # fields and noise realisations for the expected error


def gaussian_smoothing(images: Tensor, width: float) -> Tensor:
    """Periodic convolution of images `(..., H, W)` with a Gaussian of standard deviation `width` (pixels)."""
    ky, kx = (2 * torch.pi * torch.fft.fftfreq(n, dtype=images.dtype) for n in images.shape[-2:])
    transfer = torch.exp(-0.5 * width**2 * (ky[:, None] ** 2 + kx[None, :] ** 2))
    return torch.fft.ifft2(torch.fft.fft2(images) * transfer).real


def kaiser_squires(operator: ShearOperator, y: Tensor, noise, power: Tensor) -> Tensor:
    """The smoothed map `(H, W)` in units of the convergence.

    Arguments:
        y: shear on the unmasked pixels `(2 M,)`.
        noise: noise law of the shear.
        power: variances of the cosine modes of the convergence, `(H, W)`.
    """
    generator, T = torch.Generator().manual_seed(0), cosine_matrix(len(power))
    z = torch.randn(DRAWS, 1, *power.shape, generator=generator, dtype=torch.float64)
    kappa = T.T @ (power.sqrt() * z) @ T
    maps = operator.adjoint(operator(kappa) + noise.sample(DRAWS, generator))
    errors = [float((gaussian_smoothing(maps, float(w)) - kappa).square().mean()) for w in WIDTHS]
    best = float(WIDTHS[min(range(len(errors)), key=errors.__getitem__)])
    return gaussian_smoothing(operator.adjoint(y[None])[0, 0], best)
