r"""The noise of a drizzled image, measured on its sky before any fit.

.. math:: \Sigma_{ij} = d_i \, \rho(i - j) \, d_j, \qquad d^2 = s^2 + \frac{f}{t \sum_l \rho(l)}

with s the standard deviation of the sky (outside a radius, with sources clipped and the galaxy's halo removed),
:math:`\rho` the correlation measured there, f a smooth model of the flux (never the noisy pixel itself) and t the
effective exposure. The second term is the photon noise. Resampling spreads the variance f/t of a pixel over its
neighbours, which lowers the variance of one pixel by :math:`\sum \rho` and leaves that of an aperture unchanged
(Casertano et al. 2000, appendix A). t is measured on the supplied noise map, whose square is linear in the flux with
slope 1/t.

The correlation is modelled as :math:`\rho = k \star k` with a small kernel k fitted to the measured lags. This makes it
positive definite with compact support, and avoids the smearing of the spectrum by a taper, which would double the noise
power on the finest scales, where drizzled noise has least power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.optimize import least_squares

__all__ = ["SkyNoise", "autocorrelation", "effective_exposure", "kernel_correlation", "measure_sky_noise"]


@dataclass
class SkyNoise:
    """Fixed noise law of one image.

    Attributes:
        std: s, standard deviation of the sky per pixel (unit of the image).
        rho: correlation, shape `(4 K + 1, 4 K + 1)` for a kernel of side 2 K + 1.
        exposure: t of the supplied noise map (seconds, if the image is in counts per second).
        spread: sum of rho.
        slope: measured d(variance) / d(flux) of the sky pixels, a check on 1 / (t spread).
        pixels: number of sky pixels used.
        measured: measured correlation at the lags of rho.
        share: exposure of each pixel over t, `(H, W)`; 1 if the exposure is uniform.
    """

    std: float
    rho: np.ndarray
    exposure: float
    spread: float
    slope: float
    pixels: int
    measured: np.ndarray
    share: np.ndarray | float = 1.0

    def deviation(self, flux: np.ndarray) -> np.ndarray:
        """d, the standard deviation per pixel for a smooth flux model `flux` (same shape and unit)."""
        variance = self.std**2 + np.clip(flux, 0, None) / (self.exposure * self.spread)
        return np.sqrt(variance / self.share)


def measure_sky_noise(
    image: np.ndarray,
    noise_map: np.ndarray,
    scale: float,
    radius: float = 3.0,
    kernel: int = 2,
    clip: float = 4.0,
    exposure: np.ndarray | None = None,
) -> SkyNoise:
    """Noise law of `image` (H, W) from its pixels further than `radius` (arcsec) from the frame's middle.

    Arguments:
        noise_map: supplied standard deviation (H, W), used for the exposure only.
        scale: pixel (arcsec).
        kernel: half-side K of the kernel k (pixels); rho extends to lag 2 K.
        clip: pixels further than this many standard deviations from the halo are sources and are masked.
        exposure: exposure time of each pixel (H, W; seconds), if it varies. The whole variance scales with its inverse,
            as the photon noise of sky and galaxies does, and as the read noise of fewer frames does.

    Raises:
        ValueError: if fewer than 1000 sky pixels are left.
    """
    (H, W), t = image.shape, effective_exposure(image, noise_map)
    share = np.ones_like(image) if exposure is None else exposure / t
    y, x = np.mgrid[:H, :W].astype(float)
    x, y = (x - (W - 1) / 2) * scale, (y - (H - 1) / 2) * scale
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    sky = (r > radius) & np.isfinite(image)
    good, B = sky.copy(), _halo_basis(r, angle, radius)
    variance = np.full_like(image, np.var(image[sky]))
    for _ in range(8):
        weight = np.sqrt(share[good] / variance[good])
        amplitudes = np.linalg.lstsq(B[good] * weight[:, None], image[good] * weight, rcond=None)[0]
        halo = B @ amplitudes
        deviate = (image - halo) / np.sqrt(variance / share)
        width = 1.4826 * np.median(np.abs(deviate[good]))
        sources = binary_dilation(sky & (np.abs(deviate) > clip * width), iterations=2)
        good = sky & ~sources
        # variance = s^2 + slope * halo by least squares, iteratively weighted
        A, v = np.stack([np.ones(good.sum()), halo[good]], 1), share[good] * (image[good] - halo[good]) ** 2
        floor, slope = np.linalg.lstsq(A / variance[good][:, None], v / variance[good], rcond=None)[0]
        variance = np.maximum(floor + slope * halo, 0.1 * np.median(v))
    if good.sum() < 1000:
        raise ValueError(
            f"only {good.sum()} sky pixels outside {radius} arcsec, 1000 are needed; give a wider image or a smaller "
            "sky_radius"
        )
    measured = autocorrelation(
        np.where(good, (image - halo) / np.sqrt(variance / share), 0.0), good, 2 * kernel
    )
    rho = kernel_correlation(measured, kernel)
    spread = float(rho.sum())
    # with the slope fixed to the photon noise of the supplied exposure, the sky variance is the mean of the remainder
    s2 = float(np.mean(v - np.clip(halo[good], 0, None) / (t * spread)))
    kept = 1.0 if exposure is None else share
    return SkyNoise(math.sqrt(s2), rho, t, spread, float(slope), int(good.sum()), measured, kept)


def effective_exposure(image: np.ndarray, noise_map: np.ndarray) -> float:
    """t such that the square of the supplied noise map rises by flux / t; least squares over all finite pixels.

    Raises:
        ValueError: if the noise map does not rise with the flux.
    """
    use = np.isfinite(image) & np.isfinite(noise_map)
    slope, _ = np.polyfit(image[use], noise_map[use] ** 2, 1)
    if slope <= 0:
        raise ValueError(
            "the noise map does not rise with the flux, so it has no photon noise; give a noise map that includes it"
        )
    return float(1 / slope)


def autocorrelation(field: np.ndarray, good: np.ndarray, longest: int) -> np.ndarray:
    """Correlation at lags -longest..longest of a field that is 0 where not `good`, `(2 longest + 1,) * 2`.

    Each lag is averaged over the pairs of good pixels with that lag.
    """
    size = [n + longest + 1 for n in field.shape]
    power = np.abs(np.fft.rfft2(field, size)) ** 2
    pairs = np.abs(np.fft.rfft2(good.astype(float), size)) ** 2
    ratio = np.fft.irfft2(power, size) / np.maximum(np.fft.irfft2(pairs, size), 1)
    ratio = np.roll(ratio, (longest, longest), (0, 1))[: 2 * longest + 1, : 2 * longest + 1]
    return ratio / ratio[longest, longest]


def kernel_correlation(measured: np.ndarray, K: int) -> np.ndarray:
    """rho = k * k of a point-symmetric kernel of half-side K, closest to the measured lags (least squares)."""
    side = 2 * K + 1
    half = side * side // 2  # the other half is the mirror image

    def kernel(p):
        return np.concatenate((p, p[-2::-1])).reshape(side, side)

    def correlation(p):
        power = np.abs(np.fft.fft2(kernel(p), (4 * K + 1, 4 * K + 1))) ** 2
        return np.roll(np.fft.ifft2(power).real, (2 * K, 2 * K), (0, 1))

    start = np.zeros(half + 1)
    start[half] = 1.0
    start[half - 1] = start[half - side] = 0.2  # neighbours of the middle
    fit = least_squares(lambda p: (correlation(p) - measured).ravel(), start)
    rho = correlation(fit.x)
    rho = (rho + rho[::-1, ::-1]) / 2
    return rho / rho[2 * K, 2 * K]


def _halo_basis(
    r: np.ndarray, angle: np.ndarray, radius: float, orders: int = 6, harmonics: int = 4
) -> np.ndarray:
    """Smooth images for the halo: Chebyshev polynomials of log r times angular harmonics, shape `(H, W, n)`."""
    u = 2 * np.log(np.maximum(r, radius) / radius) / np.log(r.max() / radius) - 1
    columns = []
    for m in range(harmonics + 1):
        for k in range(orders):
            radial = np.cos(k * np.arccos(np.clip(u, -1, 1)))
            columns.append(radial * np.cos(m * angle))
            if m:
                columns.append(radial * np.sin(m * angle))
    return np.stack(columns, -1)
