"""Reads the held-out image of the sharp telescope, cut out and aligned with the scene, and the files of both
telescopes.

No sampler uses this image: it is stored in the observation as a check, with its point-spread function and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skyscore import io
from skyscore.operators.convolution import FWHM
from skyscore.simulate.sky import Sky
from skyscore.sky.frames import Frame, read_frame
from skyscore.sky.wcs import EAST_LEFT, sky_cards
from skyscore.units import ARCSEC

from .alignment import (
    Place,
    alignment,
    blank_stamps,
    cut,
    offset_of_frames,
    offsets_of_sources,
    pixel_of,
    read_wcs,
)
from .check_scores import noise_shares
from .psf import HALF_WIDTH, Matched, match_width
from .simulated import moffat_psf

__all__ = ["Unseen", "brightness_unit", "coordinates", "matched", "observe_unseen", "read_psf"]

FEWEST = 5  # sources needed to correct the alignment of the WCS, and only if the shift exceeds three errors
ROTATED = 0.25  # largest shift of a corner of the scene by a rotation that is ignored [check pixel]


class Unseen(NamedTuple):
    """The check as stored in an observation: arrays, and attributes with `units`, `axes` and `numbers`."""

    arrays: dict[str, np.ndarray]
    attrs: dict[str, Any]


def coordinates(
    path: str, s: dict[str, Any], key: str, shape: tuple[int, int], off: Sequence[float] = (0.0, 0.0)
):
    """World coordinates of an image of this shape with pixels of s[key] (arcsec).

    They come from the header, or from `position` if the settings say `centred`.

    Arguments:
        off: offset of the position from the middle of a centred image (x, y; arcsec).

    Raises:
        InputError: if the header has none, or its pixel size differs from the setting `key`.
    """
    if s["centred"]:
        from astropy.io.fits import Header
        from astropy.wcs import WCS

        middle = tuple((n + 1) / 2 + d / s[key] for n, d in zip(shape[::-1], off, strict=True))
        return WCS(Header(sky_cards(s["position"], s[key] / 3600 * EAST_LEFT, shape[0], middle)))
    wcs = read_wcs(path)
    size, expected = pixel_of(wcs), s[key]
    if abs(size / expected - 1) > 1e-3:
        raise io.InputError(
            f"{path}: the header gives pixels of {size:.5f} arcsec, but the setting {key} is {expected}; correct {key}"
        )
    return wcs


def read_psf(files: dict[str, str], role: str) -> np.ndarray:
    """Reads a point-spread function with odd sides.

    Raises:
        InputError: for a role without a file, or an image that is not a PSF.
    """
    if role not in files:
        raise io.InputError(
            f"no file for {role!r} among {', '.join(sorted(files))}; name it under `files` of the problem, or add its "
            "row to config/datasets.tsv"
        )
    psf = io.read_fits(files[role])
    if psf.ndim != 2 or not all(n % 2 for n in psf.shape) or not np.isfinite(psf).all() or psf.sum() <= 0:
        raise io.InputError(
            f"{files[role]}: not a point-spread function; give a finite image with two odd sides and a positive sum"
        )
    return psf


def brightness_unit(path: str, scale: float) -> tuple[float, str]:
    """Factor that converts the image to the unit, and the unit.

    Images in electrons / s are converted to MJy / sr if the header gives the flux of one electron / s; others keep
    their unit (factor 1).
    """
    header = io.read_header(path)
    unit = str(header.get("BUNIT", "")).strip()
    jansky = jansky_of_electrons(header)
    if unit.lower() in ("electrons/s", "e/s", "electron/s") and jansky:
        return jansky * 1e-6 / (scale * ARCSEC) ** 2, "MJy/sr"
    return 1.0, unit or "unit of the file"


def jansky_of_electrons(header) -> float | None:
    """Flux density of one electron / s [Jy], from PHOTFNU, or from PHOTFLAM [erg / s / cm^2 / A] at PHOTPLAM [A]."""
    if header.get("PHOTFNU"):
        return float(header["PHOTFNU"])
    if header.get("PHOTFLAM") and header.get("PHOTPLAM"):
        from astropy import units

        flam = float(header["PHOTFLAM"]) * units.erg / units.s / units.cm**2 / units.AA
        return flam.to_value(units.Jy, units.spectral_density(float(header["PHOTPLAM"]) * units.AA))
    return None


def matched(
    s: dict[str, Any],
    files: dict[str, str],
    role: str,
    fwhm: float,
    coarse: float,
    own: float,
    shift=(0.0, 0.0),
) -> Matched:
    """The PSF of a role on the scene's pixels with the width of a star: the file's, or a Moffat profile.

    Arguments:
        fwhm: width of a star (arcsec).
        coarse: pixel on which the width is measured (arcsec).
        own: pixel of the PSF file (arcsec).
        shift: (y, x), see :func:`skyscore.problems.hst.psf.match_width`.

    Raises:
        InputError: if the file is not a PSF or cannot be given that width.
    """
    scale = s["scale"]
    if role == s["band"] and s["psf_form"] == "moffat":
        psf, own, name = (
            moffat_psf(fwhm / scale, s["psf_beta"], HALF_WIDTH),
            scale,
            f"a Moffat profile for {role}",
        )
    else:
        psf, name = read_psf(files, f"{role}_psf"), files[f"{role}_psf"]
    try:
        return match_width(psf, own, scale, coarse, fwhm, shift)
    except ValueError as error:
        raise io.InputError(f"{name}: {error}; check psf_scales and the widths") from error


def shares_of_noise(
    frame: Frame, factor: float, image: np.ndarray, good: np.ndarray, scale: float
) -> dict[str, float]:
    """`sharp_noise_<band>`: noise shares of the check image's power, from 16 blank patches of its frame."""
    patches = blank_stamps(frame, len(image), 16) * factor
    if not len(patches):
        return {}
    shares = noise_shares(np.where(good, image, 0.0), patches, scale)
    return {f"sharp_{key}": value for key, value in shares.items()}


def measured_offset(
    s: dict[str, Any],
    files: dict[str, str],
    frame: Frame,
    wcs,
    sharp: Frame,
    blur: float,
    box: tuple[slice, slice],
) -> tuple[list[float], dict[str, float]]:
    """Offset (x, y; arcsec) of the position from the middle of a centred check image, and the measured numbers.

    Raises:
        InputError: if the two frames do not determine it.
    """
    placed = coordinates(files[s["check"]], s, "scale", sharp.image.shape)
    try:
        shift, error = offset_of_frames(frame, wcs, sharp, placed, blur, box)
    except ValueError as reason:
        raise io.InputError(
            f"{files[s['check']]}: {reason}; measure the offset and set check_offset"
        ) from reason
    off = [float(v) * s["data_scale"] for v in shift]
    numbers = {f"frame_offset_{axis}_arcsec": v for axis, v in zip("xy", off, strict=True)}
    for axis, v in zip("xy", error, strict=True):
        numbers[f"frame_offset_{axis}_error_arcsec"] = float(v) * s["data_scale"]
    return off, numbers


def observe_unseen(
    s: dict[str, Any], files: dict[str, str], frame: Frame, wcs, place: Place, side: int, pixels: int
) -> Unseen:
    """The check image of the scene around a stamp.

    Arguments:
        s: complete settings, see `problems/hst/settings.yaml`.
        files: by role: `<check>`, `<check>_psf`, and optionally `<check>_weight`.
        frame, wcs: of the broad telescope.
        place, side: position and side of the stamp in that frame.
        pixels: side of the scene.

    Raises:
        InputError: for unusable files, files rotated against the frame, or files that do not contain the scene.
    """
    check, scale, coarse = s["check"], s["scale"], s["data_scale"]
    sky, ratio = Sky.completed(s["noise"]), s["data_scale"] / scale  # sky settings are in pixels of the frame
    own = sky | {"background_width": ratio * sky["background_width"], "grow": round(ratio * sky["grow"])}
    sharp = read_frame(files, check, own)
    blur = np.sqrt(max(s["psf_fwhm"] ** 2 - s["sharp_fwhm"] ** 2, 0)) / FWHM / scale
    row, column = place.corner
    box = slice(row, row + side), slice(column, column + side)
    off = s["check_offset"] or [0.0, 0.0]
    numbers: dict[str, float] = {}
    if s["centred"] and s["check_offset"] is None:
        off, numbers = measured_offset(s, files, frame, wcs, sharp, blur, box)
    sharp_wcs = coordinates(files[check], s, "scale", sharp.image.shape, off)
    middle = (place.corner[1] + (side - 1) / 2, place.corner[0] + (side - 1) / 2)
    there, J = alignment(wcs, sharp_wcs, *middle)
    rotation = float(np.degrees(np.arctan2(J[1, 0] - J[0, 1], J[0, 0] + J[1, 1])))
    if abs(np.radians(rotation)) * pixels / 2 > ROTATED or np.linalg.det(J) < 0:
        raise io.InputError(
            f"{files[check]}: rotated by {rotation:.2f} degrees against {files[s['band']]}, or mirrored; resample it "
            "to the same orientation"
        )
    offsets = offsets_of_sources(frame, wcs, sharp, sharp_wcs, blur, box)
    shift, error = np.zeros(2), np.zeros(2)
    if len(offsets) > 1:
        shift, error = np.median(offsets, 0), 1.2533 * offsets.std(0, ddof=1) / np.sqrt(len(offsets))
    applied = len(offsets) >= FEWEST and bool((np.abs(shift) > 3 * error).any())
    if applied:
        there = there + J @ shift
    start = [round(v - (pixels - 1) / 2) for v in there[::-1]]
    if min(start) < 0 or any(a + pixels > n for a, n in zip(start, sharp.image.shape, strict=True)):
        raise io.InputError(
            f"{files[check]}: does not contain the {pixels} pixels around {s['position']}; give a wider image or "
            "correct position"
        )
    clean, good = cut(sharp, tuple(start), pixels)
    y, x = (np.indices(clean.shape) - (pixels - 1) / 2) * scale
    good = good & (np.hypot(y, x) >= s["hole"])
    # offset (y, x) of its middle
    offset = [a + (pixels - 1) / 2 - v for a, v in zip(start, there[::-1], strict=True)]
    factor, unit = brightness_unit(files[check], scale)
    psf = matched(s, files, check, s["sharp_fwhm"], scale, s["psf_scales"][1], offset)
    arrays = {
        "sharp": clean * factor,
        "sharp_keep": good.astype(np.uint8),
        "sharp_psf": psf.psf,
        "offsets": offsets * coarse,
    }
    numbers |= {
        "sharp_std": sharp.std * factor,
        "wcs_rotation_degree": rotation,
        "alignment_sources": len(offsets),
        "alignment_applied": int(applied),
        "sharp_psf_fwhm_before": psf.shipped,
        "sharp_psf_stretch": psf.stretch,
        "sharp_psf_gaussian_arcsec": psf.gaussian,
    }
    for axis, value, spread in zip("xy", shift, error, strict=True):
        numbers |= {
            f"shift_{axis}_arcsec": float(value * coarse),
            f"shift_{axis}_error_arcsec": float(spread * coarse),
        }
    attrs = {
        "sharp_offset": offset,
        "sharp_std": sharp.std * factor,
        "sharp_unit": unit,
        "units": {"sharp": unit, "offsets": "arcsec"},
        "axes": {"offsets": ("source", "x, y")},
        "numbers": numbers | shares_of_noise(sharp, factor, arrays["sharp"], good, scale),
    }
    return Unseen(arrays, attrs)
