"""FITS files: an observed image in, a posterior with world coordinates, unit and provenance out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyscore import provenance as origin

from .files import InputError, existing, reading, write_bytes
from .records import as_array, plain

if TYPE_CHECKING:
    from skyscore.problems.base import Problem
    from skyscore.samplers import Samples


def read_fits(path: str | Path, shape: tuple[int, ...] | None = None, hdu: int = 0) -> np.ndarray:
    """The image of a FITS file, native byte order, float64.

    Raises:
        InputError: not FITS, cut short, no image there, or not of the given `shape`.
    """
    import warnings

    from astropy.io import fits

    with reading(path, "FITS file, perhaps cut short", "download it again"), warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy only warns about a file that is cut short
        with fits.open(existing(path), memmap=False) as file:
            data = file[hdu].data
    if data is None or data.dtype.fields is not None:
        raise InputError(f"{path}: HDU {hdu} holds no image; give a FITS file with an image there")
    if shape is not None and data.shape != tuple(shape):
        raise InputError(
            f"{path}: the image has shape {data.shape}, expected {tuple(shape)}; give files that fit together"
        )
    return data.astype(np.float64)


def read_header(path: str | Path, hdu: int = 0):
    """The header of an HDU.

    Raises:
        InputError: not FITS, or no such HDU.
    """
    from astropy.io import fits

    with reading(path, "FITS file", "download it again"):
        return fits.getheader(existing(path), hdu)


def write_fits(path: str | Path, samples: Samples, problem: Problem, source: Mapping | None = None) -> None:
    """Write a posterior for FITS viewers: primary image = mean, extensions STD and SAMPLES, all in observed units.

    One channel gives images (y, x) and a cube (n, y, x); several give a channel axis before (y, x). The header carries
    the pixel scale (a linear offset in arcsec from the grid's centre, or the sky where `problem.wcs` is known), the
    unit and the provenance.
    """
    from astropy.io import fits

    x = as_array(problem.to_physical(samples.x)).astype(np.float64)
    x = x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x
    source = source or origin.provenance()
    header = fits.Header(
        [*scale_cards(problem, x.shape[-2:]), unit_card(problem.unit), *origin.fits_cards(plain(source))]
    )
    header.add_history(json.dumps(plain(source)))
    hdus = []
    for name, data in (("MEAN", x.mean(0)), ("STD", x.std(0, ddof=min(1, len(x) - 1))), ("SAMPLES", x)):
        kind = fits.ImageHDU if hdus else fits.PrimaryHDU
        hdu = kind(data.astype(np.float32), header=header.copy())
        hdu.header["EXTNAME"] = (name, f"posterior {name.lower()}, {len(x)} samples")
        hdus.append(hdu)
    image = BytesIO()  # not a file: what a full disk says is then that of the file system, not of a library
    fits.HDUList(hdus).writeto(image, checksum=True, output_verify="exception")
    write_bytes(path, image.getvalue())


def unit_card(unit: Any) -> tuple[str, str, str]:
    """BUNIT in the spelling of the FITS standard; a unit it does not know is written as it is."""
    from astropy import units

    try:
        return "BUNIT", units.Unit(str(unit)).to_string("fits"), "unit of the pixel values"
    except ValueError:
        return "BUNIT", str(unit), "unit of the pixel values"


def scale_cards(problem: Problem, shape: tuple[int, int]) -> list[tuple[str, Any, str]]:
    """World coordinates: the problem's own cards if it knows the sky, else offsets from the centre."""
    height, width = shape
    unit = getattr(problem, "scale_unit", "arcsec")
    scale = float(problem.pixel_scale)
    if getattr(problem, "wcs", None):
        return [
            *((key, value, "") for key, value in dict(problem.wcs).items()),
            ("PIXSCALE", scale, f"[{unit}] pixel side"),
        ]
    return [
        ("CTYPE1", "XOFFSET", "offset from the centre, +x to the right"),
        ("CTYPE2", "YOFFSET", "offset from the centre, +y up"),
        ("CUNIT1", {"degree": "deg"}.get(unit, unit), ""),
        ("CUNIT2", {"degree": "deg"}.get(unit, unit), ""),
        ("CRPIX1", (width + 1) / 2, "centre of the grid"),
        ("CRPIX2", (height + 1) / 2, "centre of the grid"),
        ("CRVAL1", 0.0, f"[{unit}]"),
        ("CRVAL2", 0.0, f"[{unit}]"),
        ("CDELT1", scale, f"[{unit}] pixel side"),
        ("CDELT2", scale, f"[{unit}] pixel side"),
        ("PIXSCALE", scale, f"[{unit}] pixel side"),
    ]
