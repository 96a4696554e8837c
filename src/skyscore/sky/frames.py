"""A frame of the sky: background, sources, blank pixels, and the standard deviation of the sky noise.

The background is the mean of the sky weighted by a Gaussian of width `background_width`. Sources are detected on a
smoothed copy, grown and masked. Pixels without weight, pixels that are not finite, and pixels further than `clip` from
the sky are masked too. The standard deviation is that of the core of the remaining pixels (1.48 median absolute
deviations).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

from skyscore.io import InputError, read_fits

__all__ = ["Frame", "clear", "read_frame"]

SMOOTH = 1.5  # Gaussian sigma of the copy on which sources are detected [pixel]
ROUNDS = 8  # iterations of background, standard deviation and sources


class Frame(NamedTuple):
    """A frame with its background subtracted.

    Attributes:
        image: `(H, W)`, in the unit of the file.
        good: pixels that are data, `(H, W)`.
        blank: good pixels that are blank sky, `(H, W)`.
        std: standard deviation of the sky's core.
        background: the subtracted background, `(H, W)`.
    """

    image: np.ndarray
    good: np.ndarray
    blank: np.ndarray
    std: float
    background: np.ndarray


def smoothed(image: np.ndarray, where: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian-weighted mean of the pixels `where`, on all pixels; 0 if there are none within four sigma."""
    weight = gaussian_filter(where.astype(float), sigma)
    return gaussian_filter(np.where(where, image, 0.0), sigma) / np.maximum(weight, 1e-6)


def core(values: np.ndarray) -> float:
    """Standard deviation of a Gaussian with the median absolute deviation of the values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def clear(image: np.ndarray, good: np.ndarray, s: dict[str, Any]) -> Frame:
    """Subtracts the background of an image `(H, W)` and measures its sky noise.

    Arguments:
        good: pixels that are data, `(H, W)`.
        s: settings of a data set of this kind (`simulate/sky.yaml`).

    Raises:
        ValueError: if hardly any sky is left, or the sky has no noise.
    """
    image = np.where(good, image, 0.0)
    background, blank = np.full(image.shape, np.median(image[good])), good
    for _ in range(ROUNDS):
        rest = image - background
        copy = smoothed(rest, good, SMOOTH)
        source = binary_dilation(copy > s["detect"] * core(copy[blank]), iterations=s["grow"])
        std = core(rest[blank])
        blank = good & ~source & (np.abs(rest) < s["clip"] * std)
        if blank.sum() < 0.05 * image.size or std == 0:
            raise ValueError(
                "less than 5 % of the frame is blank sky, or the sky has no noise; give a wider frame"
            )
        background = smoothed(image, blank, s["background_width"])
    rest = image - background
    return Frame(rest, good, blank, core(rest[blank]), background)


def read_frame(files: dict[str, str], role: str, s: dict[str, Any]) -> Frame:
    """Reads the frame of a role and subtracts its background.

    The file `<role>_weight`, if given, must be positive at good pixels.

    Raises:
        InputError: for a role without a file, a file without an image, or a frame without sky.
    """
    if role not in files:
        given = ", ".join(sorted(files)) or "no file at all"
        raise InputError(
            f"no file for {role!r}, given are {given}; name it under `files` of the problem, or add its row to "
            "config/datasets.tsv"
        )
    image = read_fits(files[role])
    if image.ndim != 2:
        raise InputError(f"{files[role]}: the image has {image.ndim} axes; give one band as a 2-D image")
    good = np.isfinite(image)
    if f"{role}_weight" in files:
        weight = read_fits(files[f"{role}_weight"], image.shape)
        good &= np.isfinite(weight) & (weight > 0)
    if not good.any():
        raise InputError(f"{files[role]}: no good pixel; give weights that are positive where there are data")
    try:
        return clear(image, good, s)
    except ValueError as error:
        raise InputError(f"{files[role]}: {error}") from error
