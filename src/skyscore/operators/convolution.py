r"""Convolution with a point-spread function.

.. math:: (A x)_i = \sum_j p_{i-j} x_j, \qquad (A^\top y)_j = \sum_i p_{i-j} y_i

The convolution is linear (zero-padded, never periodic) and uses FFTs. The input can be larger than the output by the
half-width of the PSF on every side, so that light from outside the frame is scattered into it.
"""

from __future__ import annotations

import math

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from .base import LinearOperator

__all__ = ["FWHM", "Convolution"]

FWHM = math.sqrt(8 * math.log(2))  # full width at half maximum of a Gaussian, in standard deviations


class Convolution(LinearOperator):
    """The convolution operator.

    Arguments:
        psf: point-spread function of shape `(h, w)`, both odd, centred on the middle pixel. It is used as given: its
            sum is the throughput.
        shape: `(H, W)` of the output image.
        padded: whether the input is the image with `h // 2` and `w // 2` additional pixels on each side. Otherwise
            the input has the shape of the output and is zero outside.

    Raises:
        ValueError: if a side of the PSF is even.
    """

    def __init__(self, psf: Tensor, shape: tuple[int, ...], padded: bool = False):
        h, w = psf.shape
        if h % 2 == 0 or w % 2 == 0:
            raise ValueError(
                f"Convolution: the PSF needs a middle pixel, so both sides of its shape {(h, w)} must be odd"
            )
        (H, W), self.half = shape, (h // 2, w // 2)
        inner = (H + h - 1, W + w - 1) if padded else (H, W)
        # first pixel of the output in the full convolution
        self.start = (h - 1, w - 1) if padded else self.half
        self.in_shape, self.out_shape = (1, *inner), (1, H, W)
        self.size = tuple(next_fast_len(n + m - 1, real=True) for n, m in zip(inner, (h, w), strict=True))
        self.transfer = torch.fft.rfft2(psf, s=self.size)

    def __call__(self, x: Tensor) -> Tensor:
        (i, j), (_, H, W) = self.start, self.out_shape
        full = torch.fft.irfft2(torch.fft.rfft2(x, s=self.size) * self._transfer(x), s=self.size)
        return full[..., i : i + H, j : j + W]

    def adjoint(self, y: Tensor) -> Tensor:
        (i, j), (_, H, W), (_, h, w) = self.start, self.out_shape, self.in_shape
        full = torch.nn.functional.pad(y, (j, self.size[1] - j - W, i, self.size[0] - i - H))
        back = torch.fft.irfft2(torch.fft.rfft2(full) * self._transfer(y).conj(), s=self.size)
        return back[..., :h, :w]

    def _transfer(self, x: Tensor) -> Tensor:
        return self.transfer.to(torch.complex128 if x.dtype == torch.float64 else torch.complex64)

    def to(self, device=None, dtype=None) -> Convolution:
        kind = None if dtype is None else {torch.float64: torch.complex128}.get(dtype, torch.complex64)
        self.transfer = self.transfer.to(device, kind)
        return self
