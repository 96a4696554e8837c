"""Aligns two images of the same sky by their world coordinates, and measures their remaining offset on sources."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, label, map_coordinates

from skyscore import io
from skyscore.simulate.sky import corners
from skyscore.sky.frames import Frame
from skyscore.sky.wcs import wcs_of

from .check_scores import drawn_correlations

__all__ = [
    "Place",
    "alignment",
    "blank_stamps",
    "cut",
    "offset_of_frames",
    "offsets_of_sources",
    "pixel_of",
    "place_stamp",
    "read_wcs",
]

BRIGHT = 8.0  # smallest peak, on the broad frame, of sources used for the alignment [core sigma]
HALF_SIDE = 5  # half-side of the box around each source [pixel]
ROUNDS = 6  # linear iterations of the fit of a shift
SMOOTHED = 2.5  # Gaussian applied before whole frames are correlated, so that faint sources stand out [pixel]
CLIPPED = 5.0  # brighter pixels are clipped to this value [sigma of the smoothed noise]
TRIED, STEP = 5.0, 0.5  # largest shift that is tried, and its step [pixel]
WORST = 1.5  # largest acceptable error of a shift: noise alone gives two to three [pixel]
PATCH = 24  # side of the blocks resampled for the error of the best shift, wider than a source [pixel]


class Place(NamedTuple):
    """Position of a stamp: its first row and column, its middle on the sky (degree) and the matrix of its axes."""

    corner: tuple[int, int]
    sky: tuple[float, float]
    cd: np.ndarray


def read_wcs(path: str):
    """World coordinates of an image.

    Raises:
        InputError: if its header has none.
    """
    wcs = wcs_of(path)
    if wcs is None:
        raise io.InputError(f"{path}: the header has no world coordinates; give an image with a WCS")
    return wcs


def pixel_of(wcs) -> float:
    """Side of a pixel (arcsec): the geometric mean of both sides."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600)


def alignment(wcs, other, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Position (x, y) in another image of a pixel (x, y), and the Jacobian of that map, `(2, 2)`."""

    def mapped(x: float, y: float) -> np.ndarray:
        return np.array(other.world_to_pixel_values(*wcs.pixel_to_world_values(x, y)), dtype=float)

    J = np.stack((mapped(x + 0.5, y) - mapped(x - 0.5, y), mapped(x, y + 0.5) - mapped(x, y - 0.5)), 1)
    return mapped(x, y), J


def offsets_of_sources(
    frame: Frame, wcs, other: Frame, other_wcs, blur: float, apart: tuple[slice, slice] | None = None
) -> np.ndarray:
    """Offsets in x and y of sources on the other image from the position given by its WCS, `(n, 2)` in pixels of
    `frame`.

    Both images are compared on the pixels of `frame`. The other image is smoothed by a Gaussian of `blur` (its pixels)
    to the resolution of `frame`; in a box around each source it is shifted, scaled and given a background by least
    squares.

    Arguments:
        apart: box whose sources are ignored, such as that of the object of interest.
    """
    labels, _ = label(gaussian_filter(frame.image, 1.0) > 3 * frame.std)
    if apart is not None:
        labels[np.isin(labels, labels[apart])] = 0
    grid = np.indices(frame.image.shape)
    y, x = grid[0], grid[1]
    u, v = other_wcs.world_to_pixel_values(*wcs.pixel_to_world_values(x, y))
    smooth = gaussian_filter(np.where(other.good, other.image, 0.0), blur)
    found, half = [], HALF_SIDE
    for number in np.unique(labels[labels > 0]):
        own = labels == number
        peak = np.where(own, frame.image, -np.inf)
        i, j = (int(k) for k in np.unravel_index(peak.argmax(), peak.shape))
        box = slice(i - half, i + half + 1), slice(j - half, j + half + 1)
        inside = half <= i < len(x) - half and half <= j < x.shape[1] - half
        at = np.stack((v[box], u[box]))
        within = inside and (at > 2).all() and (at < np.array(other.image.shape)[:, None, None] - 3).all()
        if not within or peak[i, j] < BRIGHT * frame.std or not frame.good[box].all():
            continue
        shift, J = np.zeros(2), alignment(wcs, other_wcs, j, i)[1]
        for _ in range(ROUNDS):
            moved = at + (J @ shift)[::-1, None, None]
            image = map_coordinates(smooth, moved, order=3)
            slopes = [
                map_coordinates(smooth, moved + (J @ d)[::-1, None, None], order=3) - image
                for d in 0.2 * np.eye(2)
            ]
            basis = np.stack([image.ravel(), *(s.ravel() / 0.2 for s in slopes), np.ones(image.size)], 1)
            a = np.linalg.lstsq(basis, frame.image[box].ravel(), rcond=None)[0]
            shift = shift + a[1:3] / a[0]
        if np.abs(shift).max() < 2:
            found.append(shift)
    return np.array(found).reshape(-1, 2)


def offset_of_frames(
    frame: Frame, wcs, other: Frame, other_wcs, blur: float, apart: tuple[slice, slice]
) -> tuple[np.ndarray, np.ndarray]:
    """One shift (x, y) of the whole frame, `(2,)`, and its error, for frames where no source is bright enough.

    See offsets_of_sources. The smoothed images correlate best at this shift, outside the box `apart`. Its error is the
    scatter of the best shift when blocks of the frame are drawn with replacement.

    Raises:
        ValueError: if the shift is at the edge of the range tried, or its error exceeds WORST.
    """
    grid = np.indices(frame.image.shape)
    y, x = grid[0], grid[1]
    u, v = other_wcs.world_to_pixel_values(*wcs.pixel_to_world_values(x, y))
    J = alignment(wcs, other_wcs, *(n / 2 for n in frame.image.shape[::-1]))[1]
    width = float(np.hypot(SMOOTHED * np.sqrt(np.linalg.det(J)), blur))
    here, there = levelled(frame, SMOOTHED), levelled(other, width)
    margin = TRIED * np.abs(J).sum() + width
    inside = [(c > margin) & (c < n - 1 - margin) for c, n in zip((v, u), other.image.shape, strict=True)]
    keep = frame.good & inside[0] & inside[1]
    keep[apart] = False
    steps = np.arange(-TRIED, TRIED + STEP / 2, STEP)
    shifts = np.array([(dx, dy) for dy in steps for dx in steps])
    moved = [map_coordinates(there, (v + (J @ d)[1], u + (J @ d)[0]), order=1) for d in shifts]
    r = drawn_correlations(np.array(moved), here, keep, PATCH)
    found = np.array([best_of(one.reshape(len(steps), -1), steps) for one in r])
    error = found[1:].std(0)
    if np.abs(found[0]).max() > TRIED - STEP or error.max() > WORST:
        raise ValueError(
            f"the sources around the object do not determine the offset of the two frames within {TRIED:g} pixels "
            f"(best offset {found[0].round(1).tolist()}, error {error.round(1).tolist()})"
        )
    return found[0], error


def levelled(frame: Frame, sigma: float) -> np.ndarray:
    """A frame smoothed by a Gaussian and clipped at CLIPPED sigma of its noise, so that no source dominates."""
    smooth = gaussian_filter(np.where(frame.good, frame.image, 0.0), sigma)
    top = CLIPPED * 1.4826 * np.median(np.abs(smooth[frame.blank]))
    return np.clip(smooth, -top, top)


def best_of(r: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """The shift (x, y) at which r, on a grid of shifts (y, x), is largest, refined by parabolas through the largest
    value.
    """
    at = np.unravel_index(r.argmax(), r.shape)
    found = []
    for axis in (1, 0):
        line, k = np.take(r, at[1 - axis], 1 - axis), min(max(int(at[axis]), 1), len(steps) - 2)
        low, middle, high = line[k - 1 : k + 2]
        bend = low - 2 * middle + high
        off = 0.5 * (low - high) / bend if bend < 0 else 0.0
        found.append(steps[k] + np.clip(off, -1, 1) * (steps[1] - steps[0]))
    return np.array(found)


def place_stamp(wcs, position: list[float], side: int, shape: tuple[int, int], path: str) -> Place:
    """The stamp of this side whose middle is nearest to a position (degree).

    Raises:
        InputError: if the stamp is not completely inside the frame.
    """
    x, y = (float(v) for v in wcs.world_to_pixel_values(*position))
    if not np.isfinite([x, y]).all():
        raise io.InputError(
            f"{path}: the position {position} cannot be projected on this image; give right ascension and declination"
        )
    i, j = round(y - (side - 1) / 2), round(x - (side - 1) / 2)
    if min(i, j) < 0 or i + side > shape[0] or j + side > shape[1]:
        raise io.InputError(
            f"{path}: {side} pixels around position {position} extend beyond the frame of {shape} pixels; give another "
            "position or a smaller frame_pixels"
        )
    middle = wcs.pixel_to_world_values(j + (side - 1) / 2, i + (side - 1) / 2)
    ra, dec = (float(v) for v in middle)
    return Place((i, j), (ra, dec), wcs.pixel_scale_matrix)


def cut(frame: Frame, corner: tuple[int, int], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and good pixels of a stamp."""
    box = tuple(slice(c, c + side) for c in corner)
    return frame.image[box], frame.good[box]


def blank_stamps(frame: Frame, side: int, n: int) -> np.ndarray:
    """Up to n stamps of blank sky `(n, side, side)`, spread evenly over the available positions; they may overlap."""
    places = corners(frame.blank, side)
    chosen = places[np.linspace(0, len(places) - 1, min(n, len(places))).astype(int)]
    return np.array([cut(frame, tuple(place), side)[0] for place in chosen]).reshape(-1, side, side)
