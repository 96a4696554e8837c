r"""Similarity of two images, scale by scale.

.. math:: P(k) = \langle |\hat x|^2 \rangle_k, \qquad
    r(k) = \frac{\langle \mathrm{Re}\, \hat x^* \hat t \rangle_k}{\sqrt{P_x(k) P_t(k)}}

over rings of one cycle per field. The mean of the images is subtracted, and a Hann window fades out their edges
(otherwise light that crosses an edge would appear at all scales). P is in units of the image squared times the angle
squared: white noise of standard deviation s has P = s^2 times the area of a pixel.
"""

from __future__ import annotations

import numpy as np

__all__ = ["agreement", "correlation", "rings", "spectra"]


def transform(images: np.ndarray) -> np.ndarray:
    """Fourier transform of windowed images `(..., H, W)` without their mean; the window has mean square 1."""
    window = np.multiply.outer(*(np.hanning(n + 1)[:-1] for n in images.shape[-2:]))
    window /= np.sqrt((window**2).mean())
    mean = (images * window).mean((-2, -1), keepdims=True) / window.mean()
    return np.fft.fft2((images - mean) * window)


def rings(shape: tuple[int, int]) -> np.ndarray:
    """Ring of each Fourier cell `(H, W)`: its distance from the origin in cycles per (shorter) side, rounded."""
    ky, kx = (np.fft.fftfreq(n) * min(shape) for n in shape)
    return np.rint(np.hypot(ky[:, None], kx)).astype(int)


def spectra(images: np.ndarray, truth: np.ndarray | None, scale: float) -> dict[str, np.ndarray]:
    """Power spectra of images, and their correlation with a truth scale by scale; the mean of each image is left out.

    Arguments:
        images: `(n, H, W)`.
        truth: `(H, W)`, or None.
        scale: pixel size, in any unit of angle.

    Returns:
        `k` `(K,)` in cycles per that unit, `power` `(n, K)`, and with a truth `correlation` `(n, K)`.
    """
    images, shape = np.asarray(images, dtype=float), np.shape(images)[-2:]
    ring, count = rings(shape), min(shape) // 2

    def mean(values: np.ndarray) -> np.ndarray:
        total = [np.bincount(ring.ravel(), v.ravel(), count + 1)[1 : count + 1] for v in values]
        return np.array(total) / np.bincount(ring.ravel(), minlength=count + 1)[1 : count + 1]

    x = transform(images)
    found = {
        "k": np.arange(1, count + 1) / (min(shape) * scale),
        "power": mean(np.abs(x) ** 2) * scale**2 / np.prod(shape),
    }
    if truth is not None:
        t = transform(np.asarray(truth, dtype=float))[None]
        cross = mean((x * t.conj()).real) / np.sqrt(mean(np.abs(x) ** 2) * mean(np.abs(t) ** 2) + 1e-300)
        found["correlation"] = cross
    return found


def correlation(image: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    """Pearson's r of two images over the pixels `inside`; 0 if one of them is constant."""
    a, b = (np.asarray(v, dtype=float)[inside] for v in (image, truth))
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def agreement(image: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Root mean square difference `rmse` (unit of the images) and `correlation`, over the pixels `inside`."""
    difference = np.asarray(image, dtype=float)[inside] - np.asarray(truth, dtype=float)[inside]
    rmse = float(np.sqrt((difference**2).mean()))
    return {"rmse": rmse, "correlation": correlation(image, truth, inside)}
