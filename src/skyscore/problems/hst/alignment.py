"""Two images of one sky: where a stamp lies on each by their world coordinates, and how far sources say otherwise."""

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

BRIGHT = 8.0  # peak of the sources that align the frames, on the broad frame [core sigma]
REACH = 5  # half-side of the box around each [pixel]
ROUNDS = 6  # of the fit of a shift, each linear
SMOOTHED = 2.5  # Gaussian in front of the correlation of whole frames: faint sources stand out [pixel]
CLIPPED = 5.0  # what is brighter counts as this [sigma of the smoothed noise]
TRIED, STEP = 5.0, 0.5  # shifts whose correlation is taken [pixel]
WORST = 1.5  # error of a shift that is still one: noise alone has two to three [pixel]
PATCH = 24  # side of the blocks that are drawn for the error of their best, wider than a source [pixel]


class Place(NamedTuple):
    """Where a stamp is: its first row and column, its middle on the sky (degree) and the matrix of its axes."""

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
        raise io.InputError(f"{path}: no world coordinates in its header; give an image with a WCS")
    return wcs


def pixel_of(wcs) -> float:
    """Side of a pixel (arcsec), the geometric mean of both."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600)


def alignment(wcs, other, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Where a pixel (x, y) of one image lies in another, (x, y), and the Jacobian of that map, `(2, 2)`."""

    def mapped(x: float, y: float) -> np.ndarray:
        return np.array(other.world_to_pixel_values(*wcs.pixel_to_world_values(x, y)), dtype=float)

    J = np.stack((mapped(x + 0.5, y) - mapped(x - 0.5, y), mapped(x, y + 0.5) - mapped(x, y - 0.5)), 1)
    return mapped(x, y), J


def offsets_of_sources(
    frame: Frame, wcs, other: Frame, other_wcs, blur: float, apart: tuple[slice, slice] | None = None
) -> np.ndarray:
    """By how much sources lie further in x and y on the other image than its WCS says, `(n, 2)` in pixels of `frame`.

    Both are compared on the pixels of `frame`: the other image, smoothed by a Gaussian of `blur` (its pixels) to the
    resolution of `frame`, is shifted, scaled and given a background by least squares in the box around each source.

    Arguments:
        apart: box whose sources do not count, such as that of the object of interest.
    """
    labels, _ = label(gaussian_filter(frame.image, 1.0) > 3 * frame.std)
    if apart is not None:
        labels[np.isin(labels, labels[apart])] = 0
    y, x = np.indices(frame.image.shape)
    u, v = other_wcs.world_to_pixel_values(*wcs.pixel_to_world_values(x, y))
    smooth = gaussian_filter(np.where(other.good, other.image, 0.0), blur)
    found, reach = [], REACH
    for number in np.unique(labels[labels > 0]):
        own = labels == number
        peak = np.where(own, frame.image, -np.inf)
        i, j = np.unravel_index(peak.argmax(), peak.shape)
        box = slice(i - reach, i + reach + 1), slice(j - reach, j + reach + 1)
        inside = reach <= i < len(x) - reach and reach <= j < x.shape[1] - reach
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
    """As offsets_of_sources, but one shift (x, y) of the whole frame, `(2,)`, where no source is bright enough.

    It is the one at which both images, smoothed, correlate best outside of the box `apart`, and its error the scatter
    of the best when blocks of the frame are drawn with replacement.

    Raises:
        ValueError: if it is at the edge of what was tried, or its error larger than WORST.
    """
    y, x = np.indices(frame.image.shape)
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
            f"what is in both frames around the object does not say where they belong within {TRIED:g} pixels "
            f"(best at {found[0].round(1).tolist()}, uncertain by {error.round(1).tolist()})"
        )
    return found[0], error


def levelled(frame: Frame, sigma: float) -> np.ndarray:
    """A frame smoothed by a Gaussian, cut off at CLIPPED sigma of its noise: no source outweighs all others."""
    smooth = gaussian_filter(np.where(frame.good, frame.image, 0.0), sigma)
    top = CLIPPED * 1.4826 * np.median(np.abs(smooth[frame.blank]))
    return np.clip(smooth, -top, top)


def best_of(r: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Where r, on a grid of shifts (y, x), is largest, (x, y): the vertices of parabolas through its largest value."""
    at = np.unravel_index(r.argmax(), r.shape)
    found = []
    for axis in (1, 0):
        line, k = np.take(r, at[1 - axis], 1 - axis), min(max(at[axis], 1), len(steps) - 2)
        low, middle, high = line[k - 1 : k + 2]
        bend = low - 2 * middle + high
        off = 0.5 * (low - high) / bend if bend < 0 else 0.0
        found.append(steps[k] + np.clip(off, -1, 1) * (steps[1] - steps[0]))
    return np.array(found)


def place_stamp(wcs, position: list[float], side: int, shape: tuple[int, int], path: str) -> Place:
    """The stamp of this side whose middle is nearest to a position (degree).

    Raises:
        InputError: if it is not on the frame altogether.
    """
    x, y = (float(v) for v in wcs.world_to_pixel_values(*position))
    if not np.isfinite([x, y]).all():
        raise io.InputError(
            f"{path}: the position {position} is not on this sky; give right ascension and declination"
        )
    i, j = round(y - (side - 1) / 2), round(x - (side - 1) / 2)
    if min(i, j) < 0 or i + side > shape[0] or j + side > shape[1]:
        raise io.InputError(
            f"{path}: {side} pixels around {position} reach beyond the frame of {shape}; give another position or a "
            "smaller frame_pixels"
        )
    middle = wcs.pixel_to_world_values(j + (side - 1) / 2, i + (side - 1) / 2)
    return Place((i, j), tuple(float(v) for v in middle), wcs.pixel_scale_matrix)


def cut(frame: Frame, corner: tuple[int, int], side: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and good pixels of a stamp."""
    box = tuple(slice(c, c + side) for c in corner)
    return frame.image[box], frame.good[box]


def blank_stamps(frame: Frame, side: int, n: int) -> np.ndarray:
    """Up to n stamps of blank sky `(n, side, side)`, spread evenly over the places that there are; they may overlap."""
    places = corners(frame.blank, side)
    chosen = places[np.linspace(0, len(places) - 1, min(n, len(places))).astype(int)]
    return np.array([cut(frame, tuple(place), side)[0] for place in chosen]).reshape(-1, side, side)
