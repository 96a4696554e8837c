"""A real scene: a stamp of an HST frame from which it is inferred, and optionally a NIRCam image of the same sky as
check.

The check is read by :mod:`skyscore.problems.hst.check_files`. The law of the HST noise is measured on blank sky of the
same frame, in the rows used to train the learned noise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from skyscore import io
from skyscore.simulate.sky import Sky, corners, disjoint, split_rows
from skyscore.sky.frames import Frame, read_frame
from skyscore.sky.noise import autocorrelation, kernel_correlation
from skyscore.sky.wcs import sky_cards

from .alignment import blank_stamps, cut, place_stamp
from .check_files import brightness_unit, coordinates, matched, observe_unseen
from .noise import MeasuredNoise
from .simulated import AXES

__all__ = ["ASSUMPTIONS", "observe_hst"]

ASSUMPTIONS = [
    "noise: that of the blank sky times `inflate`, also under the object; only `inflate` accounts for the object's "
    "photon noise and for errors of the point-spread function",
    "point-spread functions: unit sum and the width of a star in the same mosaics (the supplied ones, convolved with a "
    "Gaussian where too sharp and shrunk where too broad, or a Moffat profile); their wings are assumed",
    "the scene is dark outside its frame; light that crosses the rim is not modelled",
    "the background under the object equals that of the sky around it",
    "the scene in the two bands differs by one factor only (colour gradients count as error)",
]
KERNEL = 3  # half-side of the kernel that models the correlation of the noise [pixel]


def covariance(frame: Frame, side: int, share: float) -> tuple[float, np.ndarray]:
    """Mean and covariance of the training sky at lags `-(side - 1)..side - 1`, in units of the core.

    The correlation is k * k with a small kernel k (positive definite, of compact support), fitted to the measured lags.
    """
    own = split_rows(frame.blank, "train", share)
    z = np.where(own, frame.image / frame.std, 0.0)
    mean = float(z[own].mean())
    rho = kernel_correlation(autocorrelation(np.where(own, z - mean, 0.0), own, 2 * KERNEL), KERNEL)
    xi = np.zeros((2 * side - 1, 2 * side - 1))
    longest = min(2 * KERNEL, side - 1)
    lags, middle = slice(side - 1 - longest, side + longest), 2 * KERNEL
    xi[lags, lags] = (
        rho[middle - longest : middle + longest + 1, middle - longest : middle + longest + 1] * z[own].var()
    )
    return mean, xi


def observe_hst(
    s: dict[str, Any], files: dict[str, str], pixels: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of the observation; the flux scale is left at 1.

    Arguments:
        s: complete settings, see `problems/hst/settings.yaml`; `s["noise"]` holds those of the blank sky.
        files: by role: `<band>`, `<band>_psf` and optionally `<band>_weight`; the same for the check, or none of them.
        pixels: side of the scene, equal to that of the prior.

    Raises:
        InputError: for unusable files, a position outside the frame, bad pixels in the stamp, or too little blank sky.
    """
    band, scale = s["band"], s["scale"]
    sky = Sky.completed(s["noise"])
    side = s["frame_pixels"] or pixels
    ratio = s["data_scale"] / scale
    frame = read_frame(files, band, sky)
    wcs = coordinates(files[band], s, "data_scale", frame.image.shape)
    place = place_stamp(wcs, s["position"], side, frame.image.shape, files[band])
    image, good = cut(frame, place.corner, side)
    if not good.all():
        bad = int((~good).sum())
        raise io.InputError(
            f"{files[band]}: {bad} bad pixels in the stamp; choose position or frame_pixels to avoid them"
        )
    factor, unit = brightness_unit(files[band], s["data_scale"])
    mean, xi = covariance(frame, side, sky["share"])
    psf = matched(s, files, band, s["psf_fwhm"], s["data_scale"], s["psf_scales"][0])
    train, held_out = (
        disjoint(corners(split_rows(frame.blank, split, sky["share"]), side), side)
        for split in ("train", "held_out")
    )
    std = s["inflate"] * frame.std * factor
    arrays = {"images": image[None] * factor, "psf": psf.psf, "xi": xi}
    attrs = {
        "settings": s,
        "pixels": pixels,
        "scale": scale,
        "data_scale": s["data_scale"],
        "dithers": [[0.0, 0.0]],
        "names": [f"HST {band.upper()}", f"NIRCam {s['check'].upper()}"],
        "noise": s["noise"],
        "noise_std": std,
        "noise_mean": mean,
        "unit": unit,
        "units": {"images": unit, "xi": "core sigma squared"},
        "axes": AXES,
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
            **chi2_of_sky(frame, mean, xi, side),
            "blank_share": float(frame.blank.mean()),
            "sky_patches_train": train,
            "sky_patches_held_out": held_out,
            "psf_fwhm_before": psf.shipped,
            "psf_stretch": psf.stretch,
            "psf_gaussian_arcsec": psf.gaussian,
        },
    }
    if {s["check"], f"{s['check']}_psf", f"{s['check']}_weight"} & set(files):
        unseen = observe_unseen(s, files, frame, wcs, place, side, pixels)
        arrays |= unseen.arrays
        for key in ("units", "axes", "numbers"):
            attrs[key] = attrs[key] | unseen.attrs.pop(key)
        attrs |= unseen.attrs
    print(", ".join(f"{key} {value:.4g}" for key, value in attrs["numbers"].items()))
    return arrays, attrs


def rim(image: np.ndarray) -> np.ndarray:
    """The outermost pixels of an image, as a vector."""
    return np.concatenate((image[0], image[-1], image[1:-1, 0], image[1:-1, -1]))


def chi2_of_sky(frame: Frame, mean: float, xi: np.ndarray, side: int) -> dict[str, float]:
    """Median and standard deviation of chi2 per datum of 64 stamps of blank sky, under the noise law given to the
    samplers.

    The median is below one where the law raises the smallest variances. It is the reference for a posterior's chi2.
    """
    r = torch.from_numpy(blank_stamps(frame, side, 64) / frame.std - mean).flatten(1)
    chi2 = MeasuredNoise(mean, torch.from_numpy(xi)).whiten(r).square().mean(1)
    return {"sky_chi2": float(chi2.median()), "sky_chi2_std": float(chi2.std())}


def kurtosis(values: np.ndarray) -> float:
    """Fourth moment over the squared second moment: 3 for a Gaussian."""
    d = values - values.mean()
    return float((d**4).mean() / (d**2).mean() ** 2)
