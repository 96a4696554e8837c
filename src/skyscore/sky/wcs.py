"""World coordinates of a map on the sky: as FITS cards, and from the header of a file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from skyscore import io

__all__ = ["EAST_LEFT", "cards_of", "check_pixels", "sky_cards", "wcs_of"]

TILT = 1e-2  # largest deviation of a pixel from a square, as a fraction of its side

EAST_LEFT = np.diag([-1.0, 1.0])  # of a map with north up: columns increase to the west


def sky_cards(
    center: tuple[float, float],
    step: np.ndarray,
    pixels: int,
    reference: tuple[float, float] | None = None,
    projection: str = "TAN",
) -> dict[str, Any]:
    """FITS cards of a square map.

    Arguments:
        center: right ascension and declination of the reference pixel (degree).
        step: change of right ascension (times cos declination) and declination per pixel in x and y, `(2, 2)` (degree);
            `scale * EAST_LEFT` puts north up.
        pixels: side of the map.
        reference: x, y of the reference pixel, counted from 1 at the centre of the first pixel; the middle by default.
        projection: "TAN" (gnomonic) or "SIN" (orthographic, used by interferometers).
    """
    at = reference or ((pixels + 1) / 2,) * 2
    cards: dict[str, Any] = {"RADESYS": "ICRS"}
    for k, (name, value) in enumerate(zip(("RA---", "DEC--"), center, strict=True)):
        cards |= {f"CTYPE{k + 1}": name + projection, f"CUNIT{k + 1}": "deg"}
        cards |= {f"CRPIX{k + 1}": float(at[k]), f"CRVAL{k + 1}": float(value)}
    return cards | {f"CD{i + 1}_{j + 1}": float(step[i, j]) for i in (0, 1) for j in (0, 1)}


def wcs_of(path: str):
    """The celestial coordinates of a file's first image (astropy's `WCS`), None if its header has none.

    Raises:
        InputError: if the header cannot be read, or its coordinates contradict each other.
    """
    from astropy.wcs import WCS

    with (
        io.reading(path, "FITS header with world coordinates", "correct its WCS"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # astropy warns about cards that it corrects
        wcs = WCS(io.read_header(path)).celestial
        return wcs if wcs.has_celestial else None


def cards_of(wcs, pixels: int) -> dict[str, Any]:
    """FITS cards of a square map with these coordinates, linear about its middle."""
    middle = (pixels - 1) / 2
    ra, dec = (float(v) for v in wcs.pixel_to_world_values(middle, middle))
    return sky_cards((ra, dec), wcs.pixel_scale_matrix, pixels)


def check_pixels(path: str | Path, matrix: np.ndarray, scale: float | None, unit: str = "arcsec") -> None:
    """Checks that pixels are square and of side `scale`.

    Arguments:
        matrix: change of the two coordinates on the sky per pixel in x and y, `(2, 2)`, in `unit`.
        scale: the setting pixel_scale; None skips the comparison.

    Raises:
        InputError: if they are not.
    """
    gram, side = matrix @ matrix.T, np.sqrt(abs(np.linalg.det(matrix)))
    if side == 0 or not np.abs(gram / side**2 - np.eye(2)).max() <= TILT:
        raise io.InputError(
            f"{path}: pixels are not square ({matrix.tolist()}); resample the image to square pixels"
        )
    if scale is not None and not abs(side / scale - 1) <= TILT:
        raise io.InputError(
            f"{path}: the header gives pixels of {side:.4f} {unit}, but pixel_scale is {scale:g}; correct pixel_scale"
        )
