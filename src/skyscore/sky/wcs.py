"""World coordinates of a map on the sky: as FITS cards, and as the header of a file has them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from skyscore import io

__all__ = ["EAST_LEFT", "cards_of", "check_pixels", "sky_cards", "wcs_of"]

TILT = 1e-2  # largest deviation of a pixel from a square one, as a share of its side

EAST_LEFT = np.diag([-1.0, 1.0])  # of a map with north up: columns grow to the west


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
            `scale * EAST_LEFT` has north up.
        pixels: side of the map.
        reference: x, y of the reference pixel, from 1 at the centre of the first one; the middle by default.
        projection: "TAN" (gnomonic) or "SIN" (orthographic, of interferometers).
    """
    at = reference or ((pixels + 1) / 2,) * 2
    cards: dict[str, Any] = {"RADESYS": "ICRS"}
    for k, (name, value) in enumerate(zip(("RA---", "DEC--"), center, strict=True)):
        cards |= {f"CTYPE{k + 1}": name + projection, f"CUNIT{k + 1}": "deg"}
        cards |= {f"CRPIX{k + 1}": float(at[k]), f"CRVAL{k + 1}": float(value)}
    return cards | {f"CD{i + 1}_{j + 1}": float(step[i, j]) for i in (0, 1) for j in (0, 1)}


def wcs_of(path: str):
    """The celestial coordinates of a file's first image (astropy's `WCS`), None where its header has none.

    Raises:
        InputError: if the header cannot be read, or its coordinates contradict each other.
    """
    from astropy.wcs import WCS

    with (
        io.reading(path, "FITS header with world coordinates", "correct its WCS"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of cards that astropy sets right
        wcs = WCS(io.read_header(path)).celestial
        return wcs if wcs.has_celestial else None


def cards_of(wcs, pixels: int) -> dict[str, Any]:
    """Cards of a square map with these coordinates: its own, linear about its middle."""
    middle = (pixels - 1) / 2
    center = tuple(float(v) for v in wcs.pixel_to_world_values(middle, middle))
    return sky_cards(center, wcs.pixel_scale_matrix, pixels)


def check_pixels(path: str, matrix: np.ndarray, scale: float | None, unit: str = "arcsec") -> None:
    """InputError unless pixels are square and of side `scale`.

    Arguments:
        matrix: change of the two coordinates on the sky per pixel in x and y, `(2, 2)`, in `unit`.
        scale: what pixel_scale says; None compares nothing.
    """
    gram, side = matrix @ matrix.T, np.sqrt(abs(np.linalg.det(matrix)))
    if side == 0 or not np.abs(gram / side**2 - np.eye(2)).max() <= TILT:
        raise io.InputError(f"{path}: pixels are not square ({matrix.tolist()}); resample the image")
    if scale is not None and not abs(side / scale - 1) <= TILT:
        raise io.InputError(
            f"{path}: pixels of {side:.4f} {unit} where pixel_scale says {scale:g}; correct pixel_scale"
        )
