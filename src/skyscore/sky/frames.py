r"""A frame of the sky: background, sources and blank pixels, and the deviation of the sky's noise.

The background is the mean of the sky within `reach`, weighted by a Gaussian. Sources are found on a smoothed copy,
grown and left out, like every pixel without weight, not finite, or further than `clip` from the sky. The standard
deviation is that of the core of what is left (1.48 median absolute deviations).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

from skyscore.io import InputError, read_fits

__all__ = ["Frame", "clear", "read_frame"]

SMOOTH = 1.5  # of the copy on which sources are found [pixel]
ROUNDS = 8  # of background, deviation and sources, each from the last


class Frame(NamedTuple):
    """A frame without its background.

    Attributes:
        image: `(H, W)`, in the unit of the file.
        good: pixels that are data, `(H, W)`.
        blank: those of them that are sky.
        std: standard deviation of the sky's core.
        background: what was taken off, `(H, W)`.
    """

    image: np.ndarray
    good: np.ndarray
    blank: np.ndarray
    std: float
    background: np.ndarray


def smoothed(image: np.ndarray, where: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian mean of the pixels `where`, on all pixels; 0 where there are none within four sigma."""
    weight = gaussian_filter(where.astype(float), sigma)
    return gaussian_filter(np.where(where, image, 0.0), sigma) / np.maximum(weight, 1e-6)


def core(values: np.ndarray) -> float:
    """Standard deviation of a Gaussian with the median absolute deviation of the values."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def clear(image: np.ndarray, good: np.ndarray, s: dict[str, Any]) -> Frame:
    """Background, sky and its deviation of an image `(H, W)`, with the settings of a data set of this kind.

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
            raise ValueError("hardly any blank sky is left, or it is without noise; give a wider frame")
        background = smoothed(image, blank, s["reach"])
    rest = image - background
    return Frame(rest, good, blank, core(rest[blank]), background)


def read_frame(files: dict[str, str], role: str, s: dict[str, Any]) -> Frame:
    """The frame of a role, cleared; `<role>_weight`, where it is given, must be positive at good pixels.

    Raises:
        InputError: for a role without a file, a file that is no image, or a frame without sky.
    """
    if role not in files:
        raise InputError(
            f"no file for {role!r} among {', '.join(sorted(files))}; name it under `files` of the problem, or add its "
            "row to config/datasets.tsv"
        )
    image = read_fits(files[role])
    if image.ndim != 2:
        raise InputError(f"{files[role]}: {image.ndim} axes, expected 2; give one band as a 2-D image")
    good = np.isfinite(image)
    if f"{role}_weight" in files:
        weight = read_fits(files[f"{role}_weight"], image.shape)
        good &= np.isfinite(weight) & (weight > 0)
    if not good.any():
        raise InputError(f"{files[role]}: no good pixel; the weight must be positive where there are data")
    try:
        return clear(image, good, s)
    except ValueError as error:
        raise InputError(f"{files[role]}: {error}") from error
