r"""Shear of a convergence map, and its adjoint, the Kaiser-Squires inversion.

.. math::
    \hat\gamma_1 = \frac{k_x^2 - k_y^2}{k^2} \hat\kappa, \qquad
    \hat\gamma_2 = \frac{2 k_x k_y}{k^2} \hat\kappa, \qquad \gamma(k = 0) = 0

that is, :math:`\gamma_1 = (\psi_{xx} - \psi_{yy}) / 2, \gamma_2 = \psi_{xy}, \kappa = \nabla^2 \psi / 2`
with x along columns and y along rows (upwards). :math:`\gamma_1 > 0` stretches images along x. Around a positive mass
the tangential shear :math:`\gamma_t = -(\gamma_1 \cos 2\phi + \gamma_2 \sin 2\phi)` is positive. With complex
:math:`\gamma = \gamma_1 + i \gamma_2` the inversion gives :math:`\kappa_E + i \kappa_B`.

Without padding and mask :math:`P^\top P = 1` except for the mean, which has no shear; :math:`P P^\top` projects onto
E modes. At the Nyquist frequencies of even sides, waves of +k and -k are identical and the kernel of :math:`\gamma_2`
averages to zero. The kernel of :math:`\gamma_1` keeps its sign and gets modulus one, so that both statements hold for
every real map.

Reference: Kaiser & Squires (1993), ApJ 404, 441.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .base import LinearOperator

__all__ = ["ShearOperator", "decompose", "kernel", "shear"]


def kernel(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The two kernels on the half plane of `rfft2`, each `(H, W // 2 + 1)`, float64, real and even in k."""
    ky, kx = torch.meshgrid(*(torch.fft.fftfreq(n, dtype=torch.float64) for n in shape), indexing="ij")
    k2 = (kx**2 + ky**2).clamp(min=1e-300)
    p1, p2 = (kx**2 - ky**2) / k2, 2 * kx * ky / k2

    def mirrored(p: Tensor) -> Tensor:
        return p.flip(0, 1).roll((1, 1), (0, 1))  # p(-k)

    p2 = (p2 + mirrored(p2)) / 2
    p1 = torch.where(p1.abs() > 1e-12, p1.sign() * (1 - p2**2).clamp(min=0).sqrt(), torch.zeros_like(p1))
    half = shape[1] // 2 + 1
    return p1[:, :half].contiguous(), p2[:, :half].contiguous()


def shear(kappa: Tensor) -> Tensor:
    """Shear `(..., 2, H, W)` of periodic convergence maps `(..., H, W)`."""
    p1, p2 = (p.to(kappa) for p in kernel(tuple(kappa.shape[-2:])))
    k = torch.fft.rfft2(kappa)
    return torch.fft.irfft2(torch.stack([p1 * k, p2 * k], dim=-3), s=kappa.shape[-2:])


def decompose(gamma: Tensor) -> tuple[Tensor, Tensor]:
    """E and B modes of the convergence, each `(..., H, W)`, of periodic shear maps `(..., 2, H, W)`."""
    p1, p2 = (p.to(gamma) for p in kernel(tuple(gamma.shape[-2:])))
    g1, g2 = torch.fft.rfft2(gamma).unbind(-3)
    E, B = p1 * g1 + p2 * g2, p1 * g2 - p2 * g1
    return tuple(torch.fft.irfft2(mode, s=gamma.shape[-2:]) for mode in (E, B))


class ShearOperator(LinearOperator):
    """The operator from convergence `(1, H, W)` to the shear of M unmasked pixels, `(2 M,)`: gamma_1, then gamma_2.

    Arguments:
        keep: boolean `(H, W)`, True for data pixels.
        padding: pixels without mass on every side; with 0 the sky is periodic.

    Raises:
        ValueError: if no pixel is data or the padding is negative.
    """

    def __init__(self, keep: Tensor, padding: int = 0):
        if keep.ndim != 2 or not bool(keep.any()):
            raise ValueError(
                f"ShearOperator: the mask {tuple(keep.shape)} needs shape (H, W) and at least one data pixel"
            )
        if padding < 0:
            raise ValueError(f"ShearOperator: padding must not be negative, not {padding}")
        self.keep, self.padding = keep.bool(), padding
        self.in_shape, self.out_shape = (1, *keep.shape), (2 * int(keep.sum()),)

    def __call__(self, x: Tensor) -> Tensor:
        p, (_, H, W) = self.padding, self.in_shape
        gamma = shear(torch.nn.functional.pad(x[:, 0], (p, p, p, p)))[..., p : p + H, p : p + W]
        return gamma[..., self.keep].flatten(1)

    def adjoint(self, y: Tensor) -> Tensor:
        p, (_, H, W) = self.padding, self.in_shape
        gamma = torch.nn.functional.pad(self.maps(y), (p, p, p, p))
        return decompose(gamma)[0][:, None, p : p + H, p : p + W]

    def complement(self, white: Callable[..., Tensor]) -> Tensor:
        r"""Noise of covariance :math:`1 - A A^\top` on the data, `(B, 2 M)`.

        On the padded sky P P' projects onto E modes. There A A' = P W P', where W is the window of the map, and
        1 - P W P' = (1 - P P') + P (1 - W) P'.

        Arguments:
            white: function that returns standard normal noise `(B, *shape)` for a shape.
        """
        p, (_, H, W) = self.padding, self.in_shape
        sky = (H + 2 * p, W + 2 * p)
        noise = white(2, *sky)
        noise = noise - shear(decompose(noise)[0])
        if p:
            outside = white(*sky)
            outside[..., p : p + H, p : p + W] = 0
            noise = noise + shear(outside)
        return noise[..., p : p + H, p : p + W][..., self.keep].flatten(1)

    def maps(self, y: Tensor) -> Tensor:
        """Shear maps `(B, 2, H, W)` from data `(B, 2 M)`; zero on masked pixels."""
        gamma = torch.zeros(len(y), 2, *self.keep.shape, dtype=y.dtype, device=y.device)
        gamma[..., self.keep] = y.reshape(len(y), 2, -1)
        return gamma
