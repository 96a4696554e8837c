"""A real scene by two telescopes: a stamp of an HST frame to infer it from, the NIRCam image of the same sky as check.

Nothing of the NIRCam image reaches the sampler: it is cut, aligned and kept aside. The law of the HST noise is measured
on blank sky of the same frame, in the rows that the learned noise is trained on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import io
from ..simulate.sky import Frame, Sky, corners, disjoint, read_frame, split_rows
from .hst_align import alignment, cut, offsets_of_sources, pixel_of, place_stamp, read_wcs
from .hst_check import noise_shares
from .hst_psf import REACH, Matched, match_width
from .hst_simulated import moffat_psf
from .sky import sky_cards
from .sky_noise import autocorrelation, kernel_correlation

__all__ = ["ASSUMPTIONS", "observe_hst"]

ASSUMPTIONS = [
    "noise: that of the blank sky times `inflate`, the same under the object; `inflate` is all that stands for the "
    "photon noise of its own light and for errors of the point-spread function",
    "point-spread functions of unit sum and the width of a star of the same mosaics (those shipped, convolved with a "
    "Gaussian where too sharp and shrunk where too broad, or a Moffat profile); their wings are assumed",
    "the scene is dark beyond its frame; what light crosses the rim is not modelled",
    "the background under the object is that of the sky around it",
    "the scene in the two bands differs by one factor only (colour gradients count as error)",
]
FEWEST = 5  # sources that may move the images against each other, if by three errors; else the WCS stands
KERNEL = 3  # half-side of the kernel behind the correlation of the noise [pixel]
ROTATED = 0.25  # most that a corner of the scene may be off by a rotation that is not followed [check pixel]
STERADIAN = (180 / np.pi * 3600) ** 2  # [arcsec^2]


def read_psf(files: dict[str, str], role: str) -> np.ndarray:
    """A point-spread function, odd sides.

    Raises:
        InputError: for a role without a file, or an image that is no PSF.
    """
    if role not in files:
        raise io.InputError(
            f"no file for {role!r} among {', '.join(sorted(files))}; add its row to config/datasets.tsv"
        )
    psf = io.read_fits(files[role])
    if psf.ndim != 2 or not all(n % 2 for n in psf.shape) or not np.isfinite(psf).all() or psf.sum() <= 0:
        raise io.InputError(
            f"{files[role]}: no point-spread function (two odd sides, finite, positive sum); give one"
        )
    return psf


def brightness_unit(path: str, scale: float) -> tuple[float, str]:
    """Factor to MJy / sr of electrons / s with the card PHOTFNU (Jy s / electron), else 1, and the unit."""
    header = io.read_header(path)
    unit = str(header.get("BUNIT", "")).strip()
    if unit.lower() in ("electrons/s", "e/s", "electron/s") and header.get("PHOTFNU"):
        return float(header["PHOTFNU"]) * 1e-6 * STERADIAN / scale**2, "MJy/sr"
    return 1.0, unit or "unit of the file"


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
    places = corners(frame.blank, len(image))
    if not len(places):
        return {}
    chosen = places[np.linspace(0, len(places) - 1, min(16, len(places))).astype(int)]
    patches = np.stack([cut(frame, tuple(place), len(image))[0] for place in chosen]) * factor
    shares = noise_shares(np.where(good, image, 0.0), patches, scale)
    return {f"sharp_{key}": value for key, value in shares.items()}


def covariance(frame: Frame, side: int, share: float) -> tuple[float, np.ndarray]:
    """Mean and covariance at lags `-(side - 1)..side - 1` of the training sky, in units of the core.

    The correlation is k * k with a small kernel k (positive definite, of compact support), fitted to the measured lags.
    """
    own = split_rows(frame.blank, "train", share)
    z = np.where(own, frame.image / frame.std, 0.0)
    mean = float(z[own].mean())
    rho = kernel_correlation(autocorrelation(np.where(own, z - mean, 0.0), own, 2 * KERNEL), KERNEL)
    xi = np.zeros((2 * side - 1, 2 * side - 1))
    reach = min(2 * KERNEL, side - 1)
    lags, middle = slice(side - 1 - reach, side + reach), 2 * KERNEL
    xi[lags, lags] = (
        rho[middle - reach : middle + reach + 1, middle - reach : middle + reach + 1] * z[own].var()
    )
    return mean, xi


def observe_hst(
    s: dict[str, Any], files: dict[str, str], pixels: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of the observation; the flux scale is left at 1.

    Arguments:
        s: complete settings, see `SETTINGS` of :mod:`skyscore.problems.hst`; `s["noise"]` are those of the blank sky.
        files: by role: `<band>`, `<band>_psf`, `<check>`, `<check>_psf`, and perhaps `<band>_weight`, `<check>_weight`.
        pixels: side of the scene, that of the prior.

    Raises:
        InputError: for files that cannot be used, a position outside of them, bad pixels in the stamp, or little sky.
    """
    band, check, scale = s["band"], s["check"], s["scale"]
    sky = Sky.completed(s["noise"])
    side = s["frame_pixels"] or pixels
    ratio = s["data_scale"] / scale  # settings of the sky are in pixels of the broad frame
    frame = read_frame(files, band, sky)
    sharp = read_frame(
        files, check, sky | {"reach": ratio * sky["reach"], "grow": round(ratio * sky["grow"])}
    )
    wcs, sharp_wcs = read_wcs(files[band]), read_wcs(files[check])
    for role, found, asked in ((band, pixel_of(wcs), s["data_scale"]), (check, pixel_of(sharp_wcs), scale)):
        if abs(found / asked - 1) > 1e-3:
            raise io.InputError(
                f"{files[role]}: pixels of {found:.5f} arcsec, the settings say {asked}; set them right"
            )
    place = place_stamp(wcs, s["position"], side, frame.image.shape, files[band])
    image, good = cut(frame, place.corner, side)
    if not good.all():
        raise io.InputError(
            f"{files[band]}: {int((~good).sum())} bad pixels in the stamp; give a position or frame_pixels without"
        )
    middle = (place.corner[1] + (side - 1) / 2, place.corner[0] + (side - 1) / 2)
    there, J = alignment(wcs, sharp_wcs, *middle)
    rotation = float(np.degrees(np.arctan2(J[1, 0] - J[0, 1], J[0, 0] + J[1, 1])))
    if abs(np.radians(rotation)) * pixels / 2 > ROTATED or np.linalg.det(J) < 0:
        raise io.InputError(
            f"{files[check]}: turned by {rotation:.2f} degrees against {files[band]}, or mirrored; resample it first"
        )
    blur = np.sqrt(max(s["psf_fwhm"] ** 2 - s["sharp_fwhm"] ** 2, 0)) / 2.355 / scale
    box = tuple(slice(c, c + side) for c in place.corner)
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
    clean, clean_good = cut(sharp, tuple(start), pixels)
    offset = [
        a + (pixels - 1) / 2 - v for a, v in zip(start, there[::-1], strict=True)
    ]  # of its middle (y, x)
    factor, unit = brightness_unit(files[band], s["data_scale"])
    sharp_factor, sharp_unit = brightness_unit(files[check], scale)
    mean, xi = covariance(frame, side, sky["share"])
    own = s["psf_scales"]
    psfs = {
        band: matched(s, files, band, s["psf_fwhm"], s["data_scale"], own[0]),
        check: matched(s, files, check, s["sharp_fwhm"], scale, own[1], offset),
    }
    train, held_out = (
        disjoint(corners(split_rows(frame.blank, split, sky["share"]), side), side)
        for split in ("train", "held_out")
    )
    arrays = {
        "images": image[None] * factor,
        "psf": psfs[band].psf,
        "xi": xi,
        "sharp": clean * sharp_factor,
        "sharp_keep": clean_good.astype(np.uint8),
        "sharp_psf": psfs[check].psf,
        "offsets": offsets * s["data_scale"],
    }
    std, sharp_std = s["inflate"] * frame.std * factor, sharp.std * sharp_factor
    attrs = {
        "settings": s,
        "pixels": pixels,
        "scale": scale,
        "data_scale": s["data_scale"],
        "dithers": [[0.0, 0.0]],
        "sharp_offset": offset,
        "names": [f"HST {band.upper()}", f"NIRCam {check.upper()}"],
        "noise": s["noise"],
        "noise_std": std,
        "noise_mean": mean,
        "sharp_std": sharp_std,
        "unit": unit,
        "sharp_unit": sharp_unit,
        "units": {"images": unit, "sharp": sharp_unit, "xi": "core sigma squared", "offsets": "arcsec"},
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "wcs": sky_cards(place.sky, place.cd / ratio, pixels),  # along the axes of the frame
        "assumptions": ASSUMPTIONS,
        "numbers": {
            "noise_variance": float(xi[side - 1, side - 1]),
            "noise_std": std,
            "sky_std": frame.std * factor,
            "noise_sum_rho": float(xi.sum() / xi[side - 1, side - 1]),
            "noise_kurtosis": kurtosis(frame.image[frame.blank]),
            "exposures": 1,
            "peak_snr": float(image.max() / frame.std),
            "rim_snr": float(rim(image).mean() / frame.std),
            "sharp_std": sharp_std,
            "blank_share": float(frame.blank.mean()),
            "sky_patches_train": train,
            "sky_patches_held_out": held_out,
            "wcs_rotation_degree": rotation,
            "alignment_sources": len(offsets),
            "alignment_applied": int(applied),
            "psf_fwhm_before": psfs[band].shipped,
            "psf_stretch": psfs[band].stretch,
            "psf_gaussian_arcsec": psfs[band].gaussian,
            "sharp_psf_fwhm_before": psfs[check].shipped,
            "sharp_psf_stretch": psfs[check].stretch,
            "sharp_psf_gaussian_arcsec": psfs[check].gaussian,
        }
        | {f"shift_{axis}_arcsec": float(v * s["data_scale"]) for axis, v in zip("xy", shift, strict=True)}
        | {
            f"shift_{axis}_error_arcsec": float(v * s["data_scale"])
            for axis, v in zip("xy", error, strict=True)
        },
    }
    attrs["numbers"] |= shares_of_noise(sharp, sharp_factor, arrays["sharp"], clean_good, scale)
    print(", ".join(f"{key} {value:.4g}" for key, value in attrs["numbers"].items()))
    return arrays, attrs


def rim(image: np.ndarray) -> np.ndarray:
    """The outermost pixels of an image."""
    return np.concatenate((image[0], image[-1], image[1:-1, 0], image[1:-1, -1]))


def kurtosis(values: np.ndarray) -> float:
    """Fourth moment over the squared second: 3 for a Gaussian."""
    d = values - values.mean()
    return float((d**4).mean() / (d**2).mean() ** 2)
