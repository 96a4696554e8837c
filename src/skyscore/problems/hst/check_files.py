"""The image that no sampler sees: the sharp telescope's, cut and aligned on the scene; how images of both are read.

Nothing of it reaches the sampler: it is kept in the observation as a check, with its point-spread function and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from skyscore import io
from skyscore.operators.convolution import FWHM
from skyscore.operators.interferometry import ARCSEC
from skyscore.simulate.sky import Sky
from skyscore.sky.frames import Frame, read_frame
from skyscore.sky.wcs import EAST_LEFT, sky_cards

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
from .psf import REACH, Matched, match_width
from .simulated import moffat_psf

__all__ = ["Unseen", "brightness_unit", "coordinates", "matched", "observe_unseen", "read_psf"]

FEWEST = 5  # sources that may move the images against each other, if by three errors; else the WCS stands
ROTATED = 0.25  # most that a corner of the scene may be off by a rotation that is not followed [check pixel]


class Unseen(NamedTuple):
    """What an observation holds of the check: arrays, and attributes with `units`, `axes` and `numbers`."""

    arrays: dict[str, np.ndarray]
    attrs: dict[str, Any]


def coordinates(
    path: str, s: dict[str, Any], key: str, shape: tuple[int, int], off: Sequence[float] = (0.0, 0.0)
):
    """World coordinates of an image of this shape whose pixels are s[key] (arcsec): its header's, or `centred`.

    Arguments:
        off: where the position is of a centred image, off its middle (x, y; arcsec).

    Raises:
        InputError: if its header has none, or pixels of another size than the setting `key` says.
    """
    if s["centred"]:
        from astropy.io.fits import Header
        from astropy.wcs import WCS

        middle = tuple((n + 1) / 2 + d / s[key] for n, d in zip(shape[::-1], off, strict=True))
        return WCS(Header(sky_cards(s["position"], s[key] / 3600 * EAST_LEFT, shape[0], middle)))
    wcs = read_wcs(path)
    if abs(pixel_of(wcs) / s[key] - 1) > 1e-3:
        raise io.InputError(
            f"{path}: pixels of {pixel_of(wcs):.5f} arcsec, the settings say {s[key]}; set {key} right"
        )
    return wcs


def read_psf(files: dict[str, str], role: str) -> np.ndarray:
    """A point-spread function, odd sides.

    Raises:
        InputError: for a role without a file, or an image that is no PSF.
    """
    if role not in files:
        raise io.InputError(
            f"no file for {role!r} among {', '.join(sorted(files))}; name it under `files` of the problem, or add its "
            "row to config/datasets.tsv"
        )
    psf = io.read_fits(files[role])
    if psf.ndim != 2 or not all(n % 2 for n in psf.shape) or not np.isfinite(psf).all() or psf.sum() <= 0:
        raise io.InputError(
            f"{files[role]}: no point-spread function (two odd sides, finite, positive sum); give one"
        )
    return psf


def brightness_unit(path: str, scale: float) -> tuple[float, str]:
    """Factor to MJy / sr of electrons / s where the header says what one electron / s is, else 1, and the unit."""
    header = io.read_header(path)
    unit = str(header.get("BUNIT", "")).strip()
    jansky = jansky_of_electrons(header)
    if unit.lower() in ("electrons/s", "e/s", "electron/s") and jansky:
        return jansky * 1e-6 / (scale * ARCSEC) ** 2, "MJy/sr"
    return 1.0, unit or "unit of the file"


def jansky_of_electrons(header) -> float | None:
    """Flux density of one electron / s [Jy]: PHOTFNU, or PHOTFLAM [erg / s / cm^2 / A] at wavelength PHOTPLAM [A]."""
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
    """The PSF of a role at the scene's pixels, of the width of a star: the file's, on pixels of `own`, or a Moffat's.

    Raises:
        InputError: if the file is no PSF or cannot be given that width.
    """
    scale = s["scale"]
    if role == s["band"] and s["psf_form"] == "moffat":
        psf, own, name = moffat_psf(fwhm / scale, s["psf_beta"], REACH), scale, f"a Moffat profile for {role}"
    else:
        psf, name = read_psf(files, f"{role}_psf"), files[f"{role}_psf"]
    try:
        return match_width(psf, own, scale, coarse, fwhm, shift)
    except ValueError as error:
        raise io.InputError(f"{name}: {error}; check psf_scales and the widths") from error


def shares_of_noise(
    frame: Frame, factor: float, image: np.ndarray, good: np.ndarray, scale: float
) -> dict[str, float]:
    """`sharp_noise_<band>`: shares of the check image's power that are noise, by 16 blank patches of its frame."""
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
    """Where the position is in a centred check, off its middle (x, y; arcsec), and the numbers that say so.

    Raises:
        InputError: if the two frames do not show it.
    """
    placed = coordinates(files[s["check"]], s, "scale", sharp.image.shape)
    try:
        shift, error = offset_of_frames(frame, wcs, sharp, placed, blur, box)
    except ValueError as problem:
        raise io.InputError(f"{files[s['check']]}: {problem}; measure it and set check_offset") from problem
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
        s: complete settings, see `SETTINGS` of :mod:`skyscore.problems.hst.problem`.
        files: by role: `<check>`, `<check>_psf`, and perhaps `<check>_weight`.
        frame, wcs: of the broad telescope.
        place, side: of the stamp in that frame.
        pixels: side of the scene.

    Raises:
        InputError: for files that cannot be used, are turned against the frame, or do not hold the scene.
    """
    check, scale, coarse = s["check"], s["scale"], s["data_scale"]
    sky, ratio = Sky.completed(s["noise"]), s["data_scale"] / scale  # its settings are in pixels of the frame
    own = sky | {"reach": ratio * sky["reach"], "grow": round(ratio * sky["grow"])}
    sharp = read_frame(files, check, own)
    blur = np.sqrt(max(s["psf_fwhm"] ** 2 - s["sharp_fwhm"] ** 2, 0)) / FWHM / scale
    box = tuple(slice(c, c + side) for c in place.corner)
    off, numbers = s["check_offset"] or [0.0, 0.0], {}
    if s["centred"] and s["check_offset"] is None:
        off, numbers = measured_offset(s, files, frame, wcs, sharp, blur, box)
    sharp_wcs = coordinates(files[check], s, "scale", sharp.image.shape, off)
    middle = (place.corner[1] + (side - 1) / 2, place.corner[0] + (side - 1) / 2)
    there, J = alignment(wcs, sharp_wcs, *middle)
    rotation = float(np.degrees(np.arctan2(J[1, 0] - J[0, 1], J[0, 0] + J[1, 1])))
    if abs(np.radians(rotation)) * pixels / 2 > ROTATED or np.linalg.det(J) < 0:
        raise io.InputError(
            f"{files[check]}: turned by {rotation:.2f} degrees against {files[s['band']]}, or mirrored; resample it "
            "first"
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
            f"{files[check]}: does not hold the {pixels} pixels around {s['position']}; give another one"
        )
    clean, good = cut(sharp, tuple(start), pixels)
    y, x = (np.indices(clean.shape) - (pixels - 1) / 2) * scale
    good = good & (np.hypot(y, x) >= s["hole"])
    offset = [
        a + (pixels - 1) / 2 - v for a, v in zip(start, there[::-1], strict=True)
    ]  # of its middle (y, x)
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
