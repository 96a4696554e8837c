"""Reads the files of a real lens: an image with its noise map, point-spread function and mask. All are checked.

Two forms are accepted. (1) One FITS file each for the roles image, noise_map, psf and (optional) mask; the header of
the image may hold a WCS and a unit (BUNIT). (2) HDF5 cut-outs in the layout of Galan et al. (2021, arXiv:2012.02802):
`image_data` [electron / s], `exposure_time` of each pixel [s], `background_rms` and `transform_pix2angle` [arcsec /
pixel] in one file, `kernel_point_source` in another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from skyscore import io
from skyscore.io.hdf5 import member, open_hdf5
from skyscore.sky.wcs import check_pixels, wcs_of

__all__ = ["Imaging", "read_imaging"]

HDF5 = b"\x89HDF\r\n\x1a\n"  # first bytes of every HDF5 file


@dataclass
class Imaging:
    """The data of one lens. All arrays except the PSF have shape `(H, W)` with odd sides.

    Attributes:
        image: in `unit`.
        noise_map: standard deviation of the image as supplied.
        psf: `(p, q)`, odd sides, of unit sum.
        good: True where a pixel may be used.
        exposure: exposure time of each pixel (s), None where the files do not give it.
        transform: (right ascension, declination) [arcsec] per step in (x, y), `(2, 2)`; None where unknown.
        center: right ascension and declination [degree] of the middle pixel, None where unknown.
        unit: unit of the image, None where unknown.
    """

    image: np.ndarray
    noise_map: np.ndarray
    psf: np.ndarray
    good: np.ndarray
    exposure: np.ndarray | None = None
    transform: np.ndarray | None = None
    center: tuple[float, float] | None = None
    unit: str | None = None


def read_imaging(files: dict[str, str], scale: float | None = None) -> Imaging:
    """Reads the files of a lens by role: as HDF5 if the image is HDF5, otherwise as FITS.

    The mask limits the fit and the data; it does not limit the sky on which the noise is measured. Masked pixels that
    are not finite are replaced by the median so that they do not spread in convolutions. They are never used as data.

    Arguments:
        files: paths of image and psf, and optionally mask (1 = no data); FITS files also need noise_map.
        scale: pixel (arcsec) of the configuration, compared with the pixel that the file gives, if any.

    Raises:
        InputError: for files that hold no images, do not fit together, or hold unusable pixels.
    """
    cut_out = "image" in files and is_hdf5(files["image"])
    missing = ({"image", "psf"} if cut_out else {"image", "noise_map", "psf"}) - set(files)
    if missing:
        image = files.get("image", "lens")
        raise io.InputError(
            f"{image}: no file for {', '.join(sorted(missing))} with it; name it under `files` of the problem, add its "
            "row to config/datasets.tsv, or give an undamaged HDF5 cut-out"
        )
    found = read_cut_out(files, scale) if cut_out else read_separate(files, scale)
    shape = found.image.shape
    mask = io.read_fits(files["mask"], shape) != 0 if "mask" in files else np.zeros(shape, bool)
    names = {"image": files["image"], "noise": files.get("noise_map", files["image"]), "psf": files["psf"]}
    io.check_imaging(
        found.image,
        found.noise_map,
        found.psf,
        mask,
        names | ({"mask": files["mask"]} if "mask" in files else {}),
    )
    if any(n % 2 == 0 for n in shape):
        raise io.InputError(
            f"{files['image']}: shape {shape} has no middle pixel; cut the image to odd sides, centred on the lens"
        )
    for array in (found.image, found.noise_map):
        array[~np.isfinite(array)] = np.median(array[np.isfinite(array)])
    found.psf, found.good = found.psf / found.psf.sum(), ~mask
    return found


def is_hdf5(path: str) -> bool:
    with io.reading(path, "file", "correct the path or download it again"), open(path, "rb") as file:
        return file.read(len(HDF5)) == HDF5


def read_separate(files: dict[str, str], scale: float | None) -> Imaging:
    """Reads FITS files. Unit and position on the sky come from the header of the image, if it has them."""
    image = io.read_fits(files["image"])
    noise_map = io.read_fits(files["noise_map"], image.shape)
    found = Imaging(image, noise_map, io.read_fits(files["psf"]), np.ones(image.shape, bool))
    units = [str(io.read_header(files[role]).get("BUNIT", "")).strip() for role in ("image", "noise_map")]
    if all(units) and units[0].lower() != units[1].lower():
        raise io.InputError(
            f"{files['noise_map']}: unit is {units[1]}, but the image {files['image']} has unit {units[0]}; give the "
            "standard deviation of the pixels in the same unit"
        )
    found.unit = units[0] or None
    wcs = wcs_of(files["image"])
    if wcs is not None and image.ndim == 2:
        found.transform = wcs.pixel_scale_matrix * 3600
        check_pixels(files["image"], found.transform, scale)
        middle = wcs.pixel_to_world_values(*((n - 1) / 2 for n in image.shape[::-1]))
        ra, dec = (float(v) for v in middle)
        found.center = (ra, dec)
    return found


def read_cut_out(files: dict[str, str], scale: float | None) -> Imaging:
    """Reads an HDF5 cut-out.

    The noise map is sqrt(background_rms^2 + image / exposure). Where a side is even, the first row or column is
    dropped, because these cut-outs have the lens on pixel n / 2, counted from 0.
    """
    path = files["image"]
    with open_hdf5(path) as file:
        names = ("image_data", "exposure_time", "background_rms", "transform_pix2angle")
        image, exposure, rms, transform = (np.asarray(member(file, name), dtype=np.float64) for name in names)
    with open_hdf5(files["psf"]) as file:
        psf = np.asarray(member(file, "kernel_point_source"), dtype=np.float64)
    if image.ndim != 2 or not image.size or exposure.shape != image.shape:
        raise io.InputError(
            f"{path}: image has shape {image.shape} and exposure {exposure.shape}; give one exposure time per pixel"
        )
    if not (np.isfinite(exposure).all() and exposure.min() > 0):
        raise io.InputError(f"{path}: some exposure times are not positive; mask or repair these pixels")
    if rms.shape != () or not (np.isfinite(rms) and rms > 0):
        raise io.InputError(f"{path}: background_rms is {rms!s:.60}; give one positive number")
    check_transform(path, transform, scale)
    variance = rms**2 + np.clip(image, 0, None) / exposure
    odd = tuple(slice(1 - n % 2, None) for n in image.shape)
    image, exposure, noise_map = image[odd], exposure[odd], np.sqrt(variance[odd])
    return Imaging(image, noise_map, psf, np.ones(image.shape, bool), exposure, transform)


def check_transform(path: str | Path, transform: np.ndarray, scale: float | None) -> None:
    """Checks that the transform is a matrix of square pixels of side `scale` (arcsec).

    Raises:
        InputError: if it is not.
    """
    if transform.shape != (2, 2) or not np.isfinite(transform).all():
        raise io.InputError(
            f"{path}: transform_pix2angle is not a 2 x 2 matrix of finite numbers; give arcsec per pixel"
        )
    check_pixels(path, transform, scale)
