"""Radial brightness profiles of a flat, inclined disk, and the radii of its rings."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from skyscore.io import InputError
from skyscore.operators.convolution import FWHM
from skyscore.units import ARCSEC

from .ring import centre_of_light

__all__ = ["DiskProfile", "disk_of", "radial_profile", "ring_radius"]

QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
WITHIN = 0.15  # the peak of a ring is searched within this fraction of its expected radius


def radial_profile(
    image: np.ndarray,
    scale: float,
    radii: np.ndarray,
    inclination: float,
    position_angle: float,
    directions: int = 180,
) -> np.ndarray:
    """Mean of `image` (H, W), north up and east left, on ellipses: the projections of circles in the plane of the disk.

    The centre is the centroid of the light.

    Arguments:
        scale: pixel, in the unit of `radii`.
        radii: `(n,)`, along the major axes of the ellipses.
        inclination: of the disk, 0 when seen face-on (degree).
        position_angle: of its major axis, from north to east (degree).
        directions: points on each ellipse.
    """
    places = ellipses(image, scale, radii, inclination, position_angle, directions)
    return map_coordinates(image, places, order=1).mean(0)


def ellipses(image, scale, radii, inclination, position_angle, directions: int = 180) -> np.ndarray:
    """Rows and columns of the points on these ellipses, `(2, directions, n)`; see :func:`radial_profile`."""
    y, x = centre_of_light(image)
    phi, pa = np.linspace(0, 2 * np.pi, directions, endpoint=False)[:, None], np.radians(position_angle)
    major, minor = radii * np.cos(phi), radii * np.sin(phi) * np.cos(np.radians(inclination))
    north, east = major * np.cos(pa) - minor * np.sin(pa), major * np.sin(pa) + minor * np.cos(pa)
    return np.stack((y + north / scale, x - east / scale))


def ring_radius(radii: np.ndarray, profile: np.ndarray, expected: float) -> float:
    """Radius within 15 per cent of the expected one where r^2 I is largest; a result at one of the limits is not a
    peak.

    The factor r^2 flattens the steep decline of a disk, so that rings become peaks.
    """
    near = np.abs(radii / expected - 1) < WITHIN
    return float(radii[near][(profile * radii**2)[near].argmax()])


class DiskProfile:
    """Compares posterior samples with a published radial profile.

    Arguments:
        table: radius (arcsec, increasing) and brightness (Jy / sr), `(n, 2)`.
        scale: pixel of the samples (arcsec).
        pixels: pixels on a side; radii from three pixels to four fifths of the way to the frame's edge are compared.
            The profile is used as published, usually sharper than a pixel.
        inclination, position_angle: see `radial_profile`.
        rings: expected radii (arcsec).
    """

    def __init__(self, table, scale: float, pixels: int, inclination: float, position_angle: float, rings):
        self.scale, self.tilt, self.rings = scale, (inclination, position_angle), list(rings)
        self.radii = np.arange(3 * scale, 0.4 * pixels * scale, scale / 5)
        self.table = np.asarray(table, dtype=float)
        self.published = np.interp(self.radii, *self.table.T)

    def published_at(self, beam: float) -> np.ndarray:
        """The published profile (Jy / sr) as seen with a round beam of this FWHM (arcsec)."""
        pixel = self.scale / 5
        side = 2 * math.ceil(1.3 * self.radii[-1] / pixel) + 1
        inclination, pa = np.radians(self.tilt)
        y, x = (np.indices((side, side)) - side // 2) * pixel
        radius, value = self.table.T
        along, across = y * np.cos(pa) - x * np.sin(pa), y * np.sin(pa) + x * np.cos(pa)
        brightness = np.interp(np.hypot(along, across / np.cos(inclination)), radius, value, right=0.0)
        return radial_profile(gaussian_filter(brightness, beam / FWHM / pixel), pixel, self.radii, *self.tilt)

    def published_numbers(self) -> dict[str, float]:
        """Radii of the rings in the published profile, `ring_<k>_published_arcsec`."""
        return {f"{key}_published_arcsec": v for key, v in self._rings(self.published).items()}

    def of(self, images: np.ndarray) -> np.ndarray:
        """Profiles (Jy / sr) of images (n, H, W) in Jy / pixel, `(n, len(radii))`."""
        solid_angle = (self.scale * ARCSEC) ** 2
        profiles = [radial_profile(one, self.scale, self.radii, *self.tilt) for one in images]
        return np.stack(profiles) / solid_angle

    def compared(self, images: np.ndarray, beam: float) -> dict[str, np.ndarray]:
        """Comparison of samples (n, H, W) in Jy / pixel with the published profile; each number has shape `(n,)`.

        Keys: `profile_ratio`, the median over radii of the ratio to the published profile; `profile_correlation`,
        Pearson's r of the two profiles times r^2; `ring_<k>_arcsec`; and ratio and correlation of both as seen with a
        round beam of this FWHM (arcsec), `profile_..._at_beam`.
        """
        blurred = gaussian_filter(images, (0, *2 * [beam / FWHM / self.scale]))
        pairs = {
            "": (self.of(images), self.published),
            "_at_beam": (self.of(blurred), self.published_at(beam)),
        }
        found = {}
        for end, (profiles, published) in pairs.items():
            bright, lifted = published > 0, published * self.radii**2
            found[f"profile_ratio{end}"] = np.median(profiles[:, bright] / published[bright], 1)
            found[f"profile_correlation{end}"] = np.array(
                [np.corrcoef(one, lifted)[0, 1] for one in profiles * self.radii**2]
            )
        rings = [self._rings(one) for one in pairs[""][0]]
        return found | {f"{key}_arcsec": np.array([ring[key] for ring in rings]) for key in rings[0]}

    def content(self, images: dict[str, np.ndarray], major: float, minor: float) -> dict[str, Any]:
        """Content of the figure for images (n, H, W) in Jy / pixel by name.

        Keys: `radii`, `rings` and the `beam` (arcsec); profiles (mJy / arcsec^2) `published`, `published_at_beam` and,
        by name of the images, `of` (their QUANTILES, `(5, n_radii)`); `outlines` of the rings on the mean of each name,
        rows and columns `(2, directions, n_rings)`.
        """
        unit, rings = 1e3 * ARCSEC**2, list(self._rings(self.published).values())
        outlines = {
            name: ellipses(some.mean(0), self.scale, np.array(rings), *self.tilt)
            for name, some in images.items()
        }
        return {
            "radii": self.radii,
            "rings": rings,
            "beam": (major, minor),
            "published": unit * self.published,
            "published_at_beam": unit * self.published_at(math.sqrt(major * minor)),
            "of": {
                name: unit * np.quantile(self.of(some), QUANTILES, axis=0) for name, some in images.items()
            },
            "outlines": outlines,
        }

    def _rings(self, profile: np.ndarray) -> dict[str, float]:
        return {f"ring_{k}": ring_radius(self.radii, profile, r) for k, r in enumerate(self.rings, 1)}


def disk_of(s: dict[str, Any], profile: np.ndarray, pixels: int) -> DiskProfile:
    """The disk of the settings with its published profile.

    Raises:
        InputError: if the settings do not give the orientation of the disk, or expect a ring outside the compared
            radii.
    """
    if s["disk"] is None:
        raise InputError(
            "radio: a profile is given without the orientation of the disk; set disk to inclination and position angle"
        )
    inclination, angle = s["disk"]
    found = DiskProfile(profile, s["field"] / pixels, pixels, inclination, angle, s["rings"])
    low, high = found.radii[[0, -1]]
    if any(not low < r < high for r in s["rings"]):
        raise InputError(
            f"radio: rings {s['rings']} extend beyond the compared radii, {low:.3g} to {high:.3g} arcsec; remove the "
            "outer ones from rings"
        )
    return found
