r"""How well reconstructions predict an image that they have not seen.

The image d of the sharp telescope is compared with a prediction m (a reconstruction through its point-spread function)
up to one factor, the colour of the object between the two bands, :math:`c = \langle m, d \rangle / \langle m, m
\rangle`. Residual power is that of d - c m over that of d, in bands of spatial frequency, both with the window and
rings of :mod:`skyscore.validation.spectra`; the noise of d is in it, and is stated as the share that a perfect
prediction would leave.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import map_coordinates

from ..validation.spectra import correlation, spectra

__all__ = ["BANDS", "colour_of", "compared", "enlarged", "noise_shares"]

BANDS = ((0, 2), (2, 4), (4, 8), (8, 16))  # [cycles / arcsec]
BLOCK = 8  # side of the blocks that are drawn for the error of a correlation [pixel]
DRAWS = 400


def colour_of(model: np.ndarray, data: np.ndarray, keep: np.ndarray) -> float:
    """The factor c of least squares between images (H, W), over the pixels kept; 0 of a model without light."""
    norm = float((model[keep] ** 2).sum())
    return float((model[keep] * data[keep]).sum()) / norm if norm > 0 else 0.0


def correlation_error(model: np.ndarray, data: np.ndarray, keep: np.ndarray, seed: int = 0) -> float:
    """Standard deviation of Pearson's r when blocks of pixels, which correlate, are drawn with replacement."""
    g, (H, W) = np.random.default_rng(seed), data.shape
    number = np.add.outer(np.arange(H) // BLOCK * -(-W // BLOCK), np.arange(W) // BLOCK)
    sums = np.array(  # of 1, m, d, mm, dd, md in every block
        [
            np.bincount(number[keep], v[keep], number.max() + 1)
            for v in (np.ones_like(data), model, data, model**2, data**2, model * data)
        ]
    )
    drawn = g.integers(sums.shape[1], size=(DRAWS, sums.shape[1]))
    n, m, d, mm, dd, md = sums[:, drawn].sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (md - m * d / n) / np.sqrt((mm - m**2 / n) * (dd - d**2 / n))
    return float(np.nanstd(r))


def band_powers(image: np.ndarray, scale: float) -> list[float]:
    """Power of an image in each of BANDS, summed over rings by their number of cells."""
    found = spectra(image[None], None, scale)
    k, power = found["k"], found["power"][0] * found["k"]
    return [float(power[(k > low) & (k <= high)].sum()) for low, high in BANDS]


def compared(model: np.ndarray, data: np.ndarray, keep: np.ndarray, scale: float) -> dict[str, float]:
    """`correlation` and its error, `colour` c, `magnitude` -2.5 log10 c, `residual_<band>` shares of power.

    Arguments:
        model, data, keep: (H, W), at the pixels of the sharp image, where `keep` is False nothing counts.
        scale: pixel (arcsec).
    """
    c = colour_of(model, data, keep)
    found = {
        "correlation": correlation(model, data, keep),
        "correlation_error": correlation_error(model, data, keep),
        "colour": c,
    }
    if c > 0:
        found["magnitude"] = -2.5 * math.log10(c)
    whole = np.where(keep, data, c * model)
    left, seen = band_powers(whole - c * model, scale), band_powers(whole, scale)
    for (low, high), a, b in zip(BANDS, left, seen, strict=True):
        found[f"residual_{low}_{high}"] = a / b if b > 0 else 0.0
    return found


def noise_shares(data: np.ndarray, noise: np.ndarray, scale: float) -> dict[str, float]:
    """`noise_<band>`: what a perfect prediction would leave, from realisations `(n, H, W)` of the image's noise."""
    seen, left = band_powers(data, scale), np.mean([band_powers(n, scale) for n in noise], axis=0)
    return {f"noise_{low}_{high}": float(a / b) for (low, high), a, b in zip(BANDS, left, seen, strict=True)}


def enlarged(image: np.ndarray, scale: float, pixels: int, fine: float) -> np.ndarray:
    """An image (H, W) at pixels of `fine` on the same middle, `(pixels, pixels)`, by cubic splines: no sharper."""
    t = (np.arange(pixels) - (pixels - 1) / 2) * fine / scale
    at = np.meshgrid(*(t + (n - 1) / 2 for n in image.shape), indexing="ij")
    return map_coordinates(image, at, order=3, mode="nearest")
