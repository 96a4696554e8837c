r"""CLEAN, the classical image of an interferometer.

The dirty image is the sky convolved with the dirty beam, :math:`D = T \star I + \text{noise}`, both with weights w and
a beam of unit peak, so its unit is **Jy per (dirty) beam**. Hogbom's loop takes the brightest residual, moves a
fraction of it (the gain) into the model, a flux in **Jy (per pixel)**, and subtracts the same amount of the dirty beam,
until no residual exceeds a multiple of the scatter of the residuals. The restored image is the model convolved with a
Gaussian fitted to the main lobe of the dirty beam, plus the residuals: **Jy per (restoring) beam**. One such beam
covers

.. math:: \Omega / \delta^2 = \frac{\pi \, b_\mathrm{maj} b_\mathrm{min}}{4 \ln 2 \, \delta^2}

pixels, the factor between Jy per beam and Jy per pixel. The residuals remain in units of the dirty beam, whose area is
different. They are added without conversion, as is usual in the field (Jorsater & van Moorsel 1995, AJ 110, 2037, on
the error this causes).

Reference: Hogbom (1974), A&AS 15, 417.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import label
from scipy.optimize import least_squares

from skyscore.operators.convolution import FWHM, Convolution
from skyscore.operators.interferometry import Interferometer, to_real
from skyscore.operators.toeplitz import dirty_beam
from skyscore.units import ARCSEC

__all__ = ["Beam", "Clean", "clean", "dirty_image", "fit_beam", "hogbom"]


@dataclass
class Beam:
    """A restoring beam: an elliptical Gaussian.

    Attributes:
        major, minor: full widths at half maximum (arcsec).
        angle: of the major axis, from +x to +y (radians).
    """

    major: float
    minor: float
    angle: float

    def pixels(self, scale: float) -> float:
        """Area in pixels of `scale` arcsec: Jy per beam = Jy per pixel times this area."""
        return math.pi * self.major * self.minor / (4 * math.log(2) * scale**2)

    def smooth(self, image: np.ndarray, scale: float) -> np.ndarray:
        """An image (H, W), per pixel, convolved with the beam of unit sum: same unit, resolution of the beam."""
        half = math.ceil(2 * self.major / scale)
        axis = scale * np.arange(-half, half + 1)
        x, y = axis[None, :], axis[:, None]
        c, s = math.cos(self.angle), math.sin(self.angle)
        along, across = (c * x + s * y) / self.major, (c * y - s * x) / self.minor
        kernel = np.exp(-4 * math.log(2) * (along**2 + across**2))
        A = Convolution(torch.from_numpy(kernel / kernel.sum()), image.shape)
        return A(torch.from_numpy(np.ascontiguousarray(image, dtype=np.float64))[None, None])[0, 0].numpy()


@dataclass
class Clean:
    """Result of CLEAN. All images have shape (H, W).

    Attributes:
        dirty: dirty image (Jy per dirty beam).
        model: components (Jy per pixel).
        residual: residuals (Jy per dirty beam).
        restored: restored image (Jy per restoring beam).
        beam: restoring beam.
        iterations: number of components.
    """

    dirty: np.ndarray
    model: np.ndarray
    residual: np.ndarray
    restored: np.ndarray
    beam: Beam
    iterations: int


def dirty_image(V: np.ndarray, uv: np.ndarray, weights: np.ndarray, shape, scale: float) -> np.ndarray:
    """sum_k w_k Re(V_k e^{+2 pi i (u l + v m)}) / sum_k w_k, shape (H, W), in Jy per dirty beam.

    Arguments:
        V: visibilities (M,), complex (Jy).
        uv: (M, 2) (wavelengths).
        weights: (M,).
        scale: pixel (arcsec).
    """
    A = Interferometer(uv, shape, scale)
    return A.adjoint(to_real(torch.from_numpy(weights * V))[None])[0, 0].numpy() / weights.sum()


def fit_beam(uv: np.ndarray, weights: np.ndarray) -> Beam:
    """The Gaussian closest to the main lobe of the dirty beam, fitted where the lobe exceeds a third of its peak."""
    rms = np.sqrt(np.sum(weights[:, None] * uv**2) / weights.sum() / 2)
    scale = 0.03 / rms / ARCSEC  # about twelve pixels across the lobe
    scale = min(scale, 0.5 / np.abs(uv).max() / ARCSEC)
    n = 81
    T = dirty_beam(uv, weights, ((n + 1) // 2,) * 2, scale).numpy() / weights.sum()
    lobes, _ = label(T > 1 / 3)
    row, column = np.nonzero(lobes == lobes[n // 2, n // 2])
    y, x, value = (row - n // 2) * scale, (column - n // 2) * scale, T[row, column]

    def misfit(p):
        return np.exp(-0.5 * (p[0] * x**2 + 2 * p[1] * x * y + p[2] * y**2)) - value

    start = (2 * np.pi * rms * ARCSEC) ** 2
    a, b, c = least_squares(misfit, [start, 0.0, start], x_scale=start).x
    values, vectors = np.linalg.eigh([[a, b], [b, c]])
    fwhm = FWHM / np.sqrt(values)
    return Beam(float(fwhm[0]), float(fwhm[1]), float(math.atan2(vectors[1, 0], vectors[0, 0]) % math.pi))


def hogbom(
    dirty: np.ndarray, beam: np.ndarray, gain: float, threshold: float, iterations: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Model (Jy per pixel), residual (Jy per dirty beam) and number of components of a dirty image (H, W).

    Arguments:
        beam: dirty beam of unit peak, (2 H - 1, 2 W - 1).
        gain: fraction of a peak that is removed at once.
        threshold: the loop ends when the largest residual is below this many times 1.4826 x the median absolute
            deviation of the residuals.
        iterations: largest number of components.
    """
    H, W = dirty.shape
    residual, model, floor = dirty.copy(), np.zeros_like(dirty), 0.0
    for taken in range(iterations):
        i, j = divmod(int(np.abs(residual).argmax()), W)
        peak = residual[i, j]
        if taken % 10 == 0:
            floor = threshold * 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
        if abs(peak) <= floor:
            return model, residual, taken
        model[i, j] += gain * peak
        residual -= gain * peak * beam[H - 1 - i : 2 * H - 1 - i, W - 1 - j : 2 * W - 1 - j]
    return model, residual, iterations


def clean(
    V: np.ndarray,
    uv: np.ndarray,
    weights: np.ndarray,
    shape: tuple[int, int],
    scale: float,
    gain: float = 0.1,
    threshold: float = 3.0,
    iterations: int = 5000,
) -> Clean:
    """CLEAN of visibilities V (M,) with imaging weights (M,); for the arguments see :func:`dirty_image` and
    :func:`hogbom`.
    """
    dirty = dirty_image(V, uv, weights, shape, scale)
    T = dirty_beam(uv, weights, shape, scale).numpy() / weights.sum()
    model, residual, taken = hogbom(dirty, T, gain, threshold, iterations)
    beam = fit_beam(uv, weights)
    restored = beam.pixels(scale) * beam.smooth(model, scale) + residual
    return Clean(dirty, model, residual, restored, beam, taken)
