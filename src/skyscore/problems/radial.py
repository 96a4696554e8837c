"""Radial brightness profiles of a flat, inclined disk, and where its rings are."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.ndimage import map_coordinates

from ..io import InputError
from ..operators.interferometry import ARCSEC
from .ring import centre_of_light

__all__ = ["DiskProfile", "disk_of", "radial_profile", "ring_radius"]

WITHIN = 0.15  # of its expected radius: where the peak of a ring is looked for


def radial_profile(
    image: np.ndarray,
    scale: float,
    radii: np.ndarray,
    inclination: float,
    position_angle: float,
    directions: int = 180,
) -> np.ndarray:
    """Mean of `image` (H, W), north up and east left, on the ellipses that circles in the disk's plane are seen as.

    Arguments:
        scale: pixel, in the unit of `radii` `(n,)`, which are those of the ellipses' major axes.
        inclination: of the disk, 0 where it is seen from above (degree).
        position_angle: of its major axis, from north to east (degree).

    The middle is the centre of light.
    """
    y, x = centre_of_light(image)
    phi, pa = np.linspace(0, 2 * np.pi, directions, endpoint=False)[:, None], np.radians(position_angle)
    major, minor = radii * np.cos(phi), radii * np.sin(phi) * np.cos(np.radians(inclination))
    north, east = major * np.cos(pa) - minor * np.sin(pa), major * np.sin(pa) + minor * np.cos(pa)
    return map_coordinates(image, [y + north / scale, x - east / scale], order=1).mean(0)


def ring_radius(radii: np.ndarray, profile: np.ndarray, expected: float) -> float:
    """Radius within 15 per cent of the expected one where r^2 I is largest; one of the two limits is no peak.

    r^2 bends what falls as fast as a disk does into a plateau, on which rings are peaks.
    """
    near = np.abs(radii / expected - 1) < WITHIN
    return float(radii[near][(profile * radii**2)[near].argmax()])


class DiskProfile:
    """A published radial profile, and how posterior samples compare with it.

    Arguments:
        table: radius (arcsec, growing) and brightness (Jy / sr), `(n, 2)`.
        scale: pixel of the samples (arcsec), `pixels` of them on a side: compared are radii from three pixels to four
            fifths of the way to the frame's edge. The profile is taken as it is, mostly sharper than a pixel.
        inclination, position_angle: see `radial_profile`.
        rings: expected radii (arcsec).
    """

    def __init__(self, table, scale: float, pixels: int, inclination: float, position_angle: float, rings):
        self.scale, self.tilt, self.rings = scale, (inclination, position_angle), list(rings)
        self.radii = np.arange(3 * scale, 0.4 * pixels * scale, scale / 5)
        self.published = np.interp(self.radii, *np.asarray(table).T)

    def published_numbers(self) -> dict[str, float]:
        """`ring_<k>_published_arcsec`."""
        return {f"{key}_published_arcsec": v for key, v in self._rings(self.published).items()}

    def compared(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Of samples (n, H, W) in Jy / pixel, each `(n,)`: `profile_ratio`, the median over radii of theirs over the
        published one; `profile_correlation`, Pearson's r of both times r^2; and `ring_<k>_arcsec`.
        """
        solid_angle = (self.scale * ARCSEC) ** 2
        found: dict[str, list[float]] = {}
        for image in images:
            profile = radial_profile(image, self.scale, self.radii, *self.tilt) / solid_angle
            lifted = [p * self.radii**2 for p in (profile, self.published)]
            row = {"profile_correlation": np.corrcoef(*lifted)[0, 1]}
            bright = self.published > 0
            row["profile_ratio"] = np.median(profile[bright] / self.published[bright])
            row |= {f"{key}_arcsec": v for key, v in self._rings(profile).items()}
            for key, value in row.items():
                found.setdefault(key, []).append(float(value))
        return {key: np.array(values) for key, values in found.items()}

    def _rings(self, profile: np.ndarray) -> dict[str, float]:
        return {f"ring_{k}": ring_radius(self.radii, profile, r) for k, r in enumerate(self.rings, 1)}


def disk_of(s: dict[str, Any], profile: np.ndarray, pixels: int) -> DiskProfile:
    """The disk of the settings with its published profile.

    Raises:
        InputError: if the settings do not say how the disk is tilted, or expect a ring beyond the radii compared.
    """
    if s["disk"] is None:
        raise InputError("radio: a profile is given, but not how the disk is tilted; set disk to two angles")
    found = DiskProfile(profile, s["field"] / pixels, pixels, *s["disk"], s["rings"])
    low, high = found.radii[[0, -1]]
    if any(not low < r < high for r in s["rings"]):
        raise InputError(
            f"radio: rings {s['rings']} reach beyond {low:.3g} to {high:.3g} arcsec; leave them out"
        )
    return found
