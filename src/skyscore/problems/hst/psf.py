r"""Adjusts point-spread functions to the measured width of stars.

Models and stacks supplied with images seldom have the width of the stars: models lack the pixel and the drizzling
kernel, stacks of faint stars are too broad. The width is the full width at half maximum of a Moffat profile fitted to
the star's pixels. It is compared where it is measured: on a star passed through the whole operator, pixels included. A
PSF that is too sharp is convolved with a Gaussian (drizzling adds nearly one). A PSF that is too broad is shrunk about
its middle, :math:`P(\theta) \to P(\theta / t)`, which keeps the shape of its wings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import map_coordinates
from scipy.optimize import brentq, least_squares

from skyscore.operators.sampling import exposures

__all__ = ["Matched", "match_width", "moffat_width"]

HALF_WIDTH = 8.0  # half-width of the PSF that is used, in units of its FWHM


class Matched(NamedTuple):
    """A PSF of unit sum on the scene's pixels, with odd sides, and how it was made.

    Attributes:
        psf: `(n, n)`.
        shipped: width of a star with the PSF as supplied (arcsec).
        gaussian: sigma of the Gaussian it was convolved with (arcsec); 0 if the PSF was too broad.
        stretch: factor t; 1 if the PSF was too sharp.
    """

    psf: np.ndarray
    shipped: float
    gaussian: float
    stretch: float


def moffat_width(image: np.ndarray, scale: float) -> float:
    """Full width at half maximum (in the unit of `scale`, the pixel) of a Moffat profile fitted to the pixels of a
    star.

    Centre, height, core and slope are free. The least-squares fit uses pixels within two widths of the brightest one.
    """
    peak = np.unravel_index(image.argmax(), image.shape)
    grid = np.indices(image.shape)
    y, x = grid[0] - int(peak[0]), grid[1] - int(peak[1])
    radius = 4 * np.sqrt((image > image.max() / 2).sum() / np.pi)
    use = np.hypot(y, x) <= max(radius, 3)

    def misfit(p: np.ndarray) -> np.ndarray:
        r2 = (y[use] - p[1]) ** 2 + (x[use] - p[2]) ** 2
        return p[0] * (1 + r2 / p[3] ** 2) ** -np.exp(np.clip(p[4], -5, 5)) - image[use] / image.max()

    _, _, _, width, beta = least_squares(misfit, [1.0, 0.0, 0.0, radius / 4, 1.0], method="lm").x
    return float(2 * abs(width) * np.sqrt(2 ** np.exp(-np.clip(beta, -5, 5)) - 1) * scale)


def resampled(
    psf: np.ndarray, scale: float, fine: float, half: int, stretch: float, shift: Sequence[float] = (0.0, 0.0)
) -> np.ndarray:
    """P((theta + shift) / stretch) on pixels of `fine`, `(2 half + 1,) * 2`, unit sum; 0 outside the frame of P.

    Arguments:
        shift: (y, x), in pixels of `fine`.
    """
    t, unit = np.arange(-half, half + 1), fine / scale / stretch
    axes = ((t + s) * unit + (n - 1) / 2 for s, n in zip(shift, psf.shape, strict=True))
    at = np.meshgrid(*axes, indexing="ij")
    out = map_coordinates(psf, at, order=3, mode="constant")
    return out / out.sum()


def blurred(psf: np.ndarray, scale: float, sigma: float) -> np.ndarray:
    """P convolved with a Gaussian of this sigma (unit of `scale`), by Fourier transform: exact for small sigma too."""
    ky, kx = (np.fft.fftfreq(n, scale) for n in psf.shape)
    gain = np.exp(-2 * (np.pi * sigma) ** 2 * (ky[:, None] ** 2 + kx**2))
    return np.fft.ifft2(np.fft.fft2(psf) * gain).real


def match_width(
    psf: np.ndarray,
    scale: float,
    fine: float,
    coarse: float,
    fwhm: float,
    shift: Sequence[float] = (0.0, 0.0),
) -> Matched:
    """The PSF with which a star has the width `fwhm` on pixels of `coarse`, for a scene with pixels of `fine` (arcsec).

    Values of the scene are its brightness at the middle of its pixels. A star is one bright pixel, and the width of the
    pixel is included in the PSF once.

    Arguments:
        psf: as supplied, on pixels of `scale`, centred on its middle pixel.
        shift: (y, x) of the image's pixels against the scene's, in pixels of `fine`; put into the PSF, it causes no
            blur.

    Raises:
        ValueError: if neither a Gaussian of up to half the width nor shrinking by up to a factor of three reaches it.
    """
    half = int(np.ceil(min(HALF_WIDTH * fwhm, min(psf.shape) // 2 * scale) / fine))
    side = 2 * int(np.ceil(3 * fwhm / coarse)) + 1
    star = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    star[..., 1, 1] = 1

    def made(stretch: float, sigma: float, shift: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
        return resampled(blurred(psf, scale, sigma) if sigma else psf, scale, fine, half, stretch, shift)

    def width(stretch: float = 1.0, sigma: float = 0.0) -> float:
        P = torch.from_numpy(made(stretch, sigma))
        image = exposures(P, (3, 3), fine, (side, side), coarse)(star)
        return moffat_width(image[0, 0].numpy(), coarse)

    shipped, stretch, sigma = width(), 1.0, 0.0
    try:
        if shipped > fwhm:
            stretch = brentq(lambda t: width(stretch=t) - fwhm, 1 / 3, 1.0, xtol=1e-3)
        else:
            sigma = brentq(lambda v: width(sigma=v) - fwhm, 0.0, fwhm / 2, xtol=1e-4)
    except ValueError as error:
        raise ValueError(f"no PSF of width {fwhm} arcsec can be made of one of {shipped:.3f}") from error
    return Matched(made(stretch, sigma, shift), shipped, sigma, stretch)
