"""A real scene by two telescopes: a stamp of an HST frame to infer it from, the NIRCam image of the same sky as check.

Nothing of the NIRCam image reaches the sampler: it is cut, aligned and kept aside. The law of the HST noise is measured
on blank sky of the same frame, in the rows that the learned noise is trained on.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, label, map_coordinates

from .. import io
from ..simulate.sky import Frame, Sky, corners, disjoint, read_frame, split_rows
from .hst_psf import match_width
from .sky_noise import autocorrelation, kernel_correlation

__all__ = ["ASSUMPTIONS", "alignment", "observe_hst", "offsets_of_sources"]

ASSUMPTIONS = [
    "noise: that of the blank sky times `inflate`, the same under the object; the photon noise of its own light is not in "
    "it, nor are errors of the point-spread function: `inflate` is what stands for both",
    "the point-spread functions as shipped, brought to the width of a star of the same mosaics (convolved with a Gaussian "
    "where too sharp, shrunk where too broad) and to unit sum; their wings are not known from these frames",
    "the scene is dark beyond its frame; what light crosses the rim is not modelled",
    "the background under the object is that of the sky around it",
    "the scene in the two bands differs by one factor only (colour gradients count as error)",
]
KERNEL = 3  # half-side of the kernel behind the correlation of the noise [pixel]
BRIGHT = 8.0  # peak of the sources that align the frames, on the HST frame [core sigma]
ROTATED = 0.25  # most that a corner of the scene may be off by a rotation that is not followed [check pixel]
STERADIAN = (180 / np.pi * 3600) ** 2  # [arcsec^2]


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
    from astropy.wcs import WCS

    with (
        io.reading(path, "FITS header with world coordinates", "give an image with a WCS"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of cards that astropy sets right
        wcs = WCS(io.read_header(path)).celestial
        if not wcs.has_celestial:
            raise ValueError("no celestial axes")
        return wcs


def pixel_of(wcs) -> float:
    """Side of a pixel (arcsec), the geometric mean of both."""
    return float(np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600)


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
    """Factor to MJy / sr and the unit: of electrons / s with the card PHOTFNU (Jy s / electron), or as the file says."""
    header = io.read_header(path)
    unit = str(header.get("BUNIT", "")).strip()
    if unit.lower() in ("electrons/s", "e/s", "electron/s") and header.get("PHOTFNU"):
        return float(header["PHOTFNU"]) * 1e-6 * STERADIAN / scale**2, "MJy/sr"
    return 1.0, unit or "unit of the file"


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
    labels, _ = label(gaussian_filter(frame.image, 1.0) > 5 * frame.std / 3)
    if apart is not None:
        labels[labels == 0] = 0
        for number in np.unique(labels[apart]):
            labels[labels == number] = 0
    y, x = np.indices(frame.image.shape)
    u, v = other_wcs.world_to_pixel_values(*wcs.pixel_to_world_values(x, y))
    smooth = gaussian_filter(np.where(other.good, other.image, 0.0), blur)
    found, reach = [], 5
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
        for _ in range(6):
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


def scene_cards(place: Place, share: float, pixels: int) -> dict[str, Any]:
    """FITS cards of the scene: a gnomonic projection about its middle, along the axes of the HST frame."""
    cd = place.cd * share
    cards = {"RADESYS": "ICRS"}
    for k, (kind, at) in enumerate(zip(("RA---TAN", "DEC--TAN"), place.sky, strict=True), 1):
        cards |= {f"CTYPE{k}": kind, f"CUNIT{k}": "deg", f"CRPIX{k}": (pixels + 1) / 2, f"CRVAL{k}": at}
    return cards | {f"CD{i + 1}_{j + 1}": float(cd[i, j]) for i in range(2) for j in range(2)}


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
    if len(offsets) >= 3:
        shift, error = np.median(offsets, 0), 1.2533 * offsets.std(0, ddof=1) / np.sqrt(len(offsets))
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
    psfs = {}
    for role, fwhm, coarse, own in (
        (band, s["psf_fwhm"], s["data_scale"], s["psf_scales"][0]),
        (check, s["sharp_fwhm"], scale, s["psf_scales"][1]),
    ):
        try:
            psfs[role] = match_width(read_psf(files, f"{role}_psf"), own, scale, coarse, fwhm)
        except ValueError as error_:
            raise io.InputError(f"{files.get(f'{role}_psf', role)}: {error_}; check psf_scales") from error_
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
        "sharp_offset": [offset],
        "names": [f"HST {band.upper()}", f"NIRCam {check.upper()}"],
        "noise": s["noise"],
        "noise_std": std,
        "noise_mean": mean,
        "sharp_std": sharp_std,
        "unit": unit,
        "units": {"images": unit, "sharp": sharp_unit, "xi": "core sigma squared", "offsets": "arcsec"},
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "wcs": scene_cards(place, 1 / ratio, pixels),
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
            "psf_fwhm_shipped": psfs[band].shipped,
            "psf_stretch": psfs[band].stretch,
            "psf_gaussian_arcsec": psfs[band].gaussian,
            "sharp_psf_fwhm_shipped": psfs[check].shipped,
            "sharp_psf_stretch": psfs[check].stretch,
            "sharp_psf_gaussian_arcsec": psfs[check].gaussian,
        }
        | {f"shift_{axis}_arcsec": float(v * s["data_scale"]) for axis, v in zip("xy", shift, strict=True)}
        | {
            f"shift_{axis}_error_arcsec": float(v * s["data_scale"])
            for axis, v in zip("xy", error, strict=True)
        },
    }
    print(", ".join(f"{key} {value:.4g}" for key, value in attrs["numbers"].items()))
    return arrays, attrs


def rim(image: np.ndarray) -> np.ndarray:
    """The outermost pixels of an image."""
    return np.concatenate((image[0], image[-1], image[1:-1, 0], image[1:-1, -1]))


def kurtosis(values: np.ndarray) -> float:
    """Fourth moment over the squared second: 3 for a Gaussian."""
    d = values - values.mean()
    return float((d**4).mean() / (d**2).mean() ** 2)
