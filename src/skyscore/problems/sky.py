"""World coordinates of a map on the sky, as FITS cards."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["EAST_LEFT", "sky_cards"]

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
