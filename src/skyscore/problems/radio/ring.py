"""The diameter of a ring: twice the mean radius at which profiles from its centre peak.

The centre is the point for which the peak radii vary least with direction.

Reference: EHT Collaboration (2019), ApJL 875, L4.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import map_coordinates

__all__ = ["centre_of_light", "ring_diameter"]


def centre_of_light(image: np.ndarray) -> tuple[float, float]:
    """Row and column of the centroid of `image` (H, W); negative pixels are ignored."""
    bright = np.clip(image, 0, None)
    row, column = (float((grid * bright).sum() / bright.sum()) for grid in np.indices(image.shape))
    return row, column


def ring_diameter(
    image: np.ndarray, scale: float, radii: tuple[float, float], directions: int = 72, steps: int = 60
) -> float:
    """Diameter of the ring in `image` (H, W), in the unit of `scale`, its pixel.

    Arguments:
        radii: smallest and largest radius at which a peak is searched, in the same unit.
        directions, steps: number of profiles, and points of each.
    """
    y0, x0 = centre_of_light(image)
    angle = np.linspace(0, 2 * np.pi, directions, endpoint=False)
    r = np.linspace(*radii, steps) / scale
    dy, dx = np.sin(angle)[:, None] * r, np.cos(angle)[:, None] * r
    best, found = np.inf, np.nan
    half = radii[1] / scale / 2
    offsets = np.linspace(-half, half, 17)
    for oy in offsets:
        for ox in offsets:
            profiles = map_coordinates(image, [y0 + oy + dy, x0 + ox + dx], order=1)
            top = profiles.argmax(1)
            peak, lost = r[top], np.mean((top == 0) | (top == steps - 1))  # a peak at a limit does not count
            if peak.std() / peak.mean() + lost < best:
                best, found = peak.std() / peak.mean() + lost, 2 * scale * float(peak.mean())
    return found
