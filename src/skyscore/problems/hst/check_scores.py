r"""How well reconstructions predict a held-out image.

The image d of the sharp telescope is compared with a prediction m (a reconstruction seen through its point-spread
function) up to one factor, the colour of the object between the two bands, :math:`c = \langle m, d \rangle / \langle m,
m \rangle`. Residual power is the power of d - c m over that of d, in bands of spatial frequency, both with the window
and rings of :mod:`skyscore.statistics.spectra`. It includes the noise of d; the share that a perfect prediction would
leave is given beside it.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import map_coordinates

from skyscore.statistics.spectra import correlation, spectra

__all__ = ["BANDS", "colour_of", "compared", "drawn_correlations", "enlarged", "noise_shares"]

BANDS = ((0, 2), (2, 4), (4, 8), (8, 16))  # [cycles / arcsec]
BLOCK = 8  # side of the blocks that are resampled for the error of a correlation [pixel]
DRAWS = 400  # resamplings


def colour_of(model: np.ndarray, data: np.ndarray, keep: np.ndarray) -> float:
    """The least-squares factor c between images (H, W) over the pixels in `keep`; 0 for a model without light."""
    norm = float((model[keep] ** 2).sum())
    return float((model[keep] * data[keep]).sum()) / norm if norm > 0 else 0.0


def drawn_correlations(
    models: np.ndarray, data: np.ndarray, keep: np.ndarray, block: int = BLOCK, seed: int = 0
) -> np.ndarray:
    """Pearson's r of each model (n, H, W) with data (H, W) over the pixels in `keep`, `(1 + DRAWS, n)`.

    The first row uses all pixels. In the other rows square blocks of pixels, which are correlated, are drawn with
    replacement.
    """
    (H, W), g = data.shape, np.random.default_rng(seed)
    number = np.add.outer(np.arange(H) // block * -(-W // block), np.arange(W) // block)[keep]
    blocks = np.unique(number, return_inverse=True)[1]
    B, d = blocks.max() + 1, data[keep]
    drawn = np.concatenate((np.ones((1, B)), g.multinomial(B, np.full(B, 1 / B), DRAWS)))

    def sums(values: np.ndarray) -> np.ndarray:
        return drawn @ np.bincount(blocks, values, B)

    n, sum_d, sum_dd = sums(np.ones_like(d)), sums(d), sums(d**2)
    found = []
    for m in (model[keep] for model in models):
        sum_m, sum_mm, sum_md = sums(m), sums(m**2), sums(m * d)
        with np.errstate(invalid="ignore", divide="ignore"):
            variances = (sum_mm - sum_m**2 / n) * (sum_dd - sum_d**2 / n)
            found.append((sum_md - sum_m * sum_d / n) / np.sqrt(variances))
    return np.stack(found, 1)


def correlation_error(model: np.ndarray, data: np.ndarray, keep: np.ndarray) -> float:
    """Standard deviation of Pearson's r over resampled blocks."""
    return float(np.nanstd(drawn_correlations(model[None], data, keep)[1:]))


def band_powers(image: np.ndarray, scale: float) -> list[float]:
    """Power of an image in each of BANDS, summed over rings weighted by their number of cells."""
    found = spectra(image[None], None, scale)
    k, power = found["k"], found["power"][0] * found["k"]
    return [float(power[(k > low) & (k <= high)].sum()) for low, high in BANDS]


def compared(model: np.ndarray, data: np.ndarray, keep: np.ndarray, scale: float) -> dict[str, float]:
    """`correlation` and its error, `colour` c, `magnitude` -2.5 log10 c, `residual_<band>` shares of power.

    Arguments:
        model, data, keep: (H, W), on the pixels of the sharp image; pixels where `keep` is False are ignored.
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
    """`noise_<band>`: share of power that a perfect prediction would leave.

    Arguments:
        data: image (H, W).
        noise: realisations `(n, H, W)` of its noise.
        scale: pixel (arcsec).
    """
    seen, left = band_powers(data, scale), np.mean([band_powers(n, scale) for n in noise], axis=0)
    return {f"noise_{low}_{high}": float(a / b) for (low, high), a, b in zip(BANDS, left, seen, strict=True)}


def enlarged(image: np.ndarray, scale: float, pixels: int, fine: float) -> np.ndarray:
    """An image (H, W) interpolated by cubic splines to `(pixels, pixels)` of `fine` around the same middle.

    The resolution stays that of the image.
    """
    t = (np.arange(pixels) - (pixels - 1) / 2) * fine / scale
    at = np.meshgrid(*(t + (n - 1) / 2 for n in image.shape), indexing="ij")
    return map_coordinates(image, at, order=3, mode="nearest")
