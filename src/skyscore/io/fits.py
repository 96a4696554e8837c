"""FITS files: reads observed images; writes a posterior with world coordinates, unit and provenance."""

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
    from skyscore.observation import ProblemLike, SamplesLike


REMEDY = "give a complete file, or download it again"
DIMENSIONLESS = ("convergence", "1")  # names of dimensionless quantities


def read_fits(path: str | Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The first image of a FITS file, in native byte order, float64.

    Raises:
        InputError: if the file is not FITS, is cut short, holds no image, or does not have the given `shape`.
    """
    import warnings

    from astropy.io import fits

    with reading(path, "FITS file, perhaps cut short", REMEDY), warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy only warns about a file that is cut short
        with fits.open(existing(path), memmap=False) as file:
            number = first_image(file)
            data = None if number is None else file[number].data
    if data is None or data.dtype.fields is not None:  # random groups have fields
        raise InputError(f"{path}: contains no image; give a FITS file with one")
    if shape is not None and data.shape != tuple(shape):
        raise InputError(
            f"{path}: the image has shape {data.shape}, but {tuple(shape)} is expected; give files of the same shape"
        )
    return data.astype(np.float64)


def first_image(file: Any) -> int | None:
    """Number of the first HDU with an image, or None. Instruments often leave the primary HDU empty."""
    return next((k for k, hdu in enumerate(file) if hdu.is_image and hdu.header["NAXIS"] > 0), None)


def read_header(path: str | Path):
    """The header of the first image, or that of the file if it holds no image.

    Raises:
        InputError: if the file is not FITS.
    """
    from astropy.io import fits

    with reading(path, "FITS file", REMEDY), fits.open(existing(path)) as file:
        return file[first_image(file) or 0].header.copy()


def read_columns(path: str | Path, names: Mapping[str, str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Columns `(N,)`, float64, of the first table of a FITS file, and their units ("" where none is given).

    Arguments:
        names: column names in the file (upper or lower case), by the names under which they are returned.

    Raises:
        InputError: if the file is not FITS, is cut short, holds no table, or a column is absent or not numeric.
    """
    import warnings

    from astropy.io import fits

    with reading(path, "FITS file, perhaps cut short", REMEDY), warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(existing(path), memmap=False) as file:
            tables = [hdu for hdu in file if getattr(hdu, "columns", None) is not None]
            if not tables:
                raise InputError(f"{path}: contains no table; give a FITS table with one row for each galaxy")
            held = {column.name.lower(): column for column in tables[0].columns}
            absent = [name for name in names.values() if name.lower() not in held]
            if absent:
                raise InputError(
                    f"{path}: no column {absent[0]!r} (columns are {', '.join(held)}); name it under `columns`"
                )
            found = {key: np.asarray(tables[0].data[held[name.lower()].name]) for key, name in names.items()}
            units = {key: str(held[name.lower()].unit or "").strip() for key, name in names.items()}
    for key, column in found.items():
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            raise InputError(f"{path}: the column {names[key]!r} is not numeric; give one number per galaxy")
    return {key: column.astype(np.float64) for key, column in found.items()}, units


def write_fits(
    path: str | Path, samples: SamplesLike, problem: ProblemLike, source: Mapping | None = None
) -> None:
    """Writes a posterior for FITS viewers: primary image = mean, extensions STD and SAMPLES, all in observed units.

    One channel gives images (y, x) and a cube (n, y, x); several channels give a channel axis before (y, x). The header
    has the pixel scale (as a linear offset in arcsec from the grid's centre, or on the sky if `problem.wcs` is known),
    the unit and the provenance.
    """
    from astropy.io import fits

    x = as_array(problem.to_physical(samples.x)).astype(np.float64)
    x = x[:, 0] if x.ndim == 4 and x.shape[1] == 1 else x
    source = source or origin.provenance()
    header = fits.Header(
        [*scale_cards(problem, x.shape[-2:]), unit_card(problem.unit), *origin.fits_cards(plain(source))]
    )
    header.add_history(json.dumps(plain(source)))
    hdus: list[Any] = []
    for name, data in (("MEAN", x.mean(0)), ("STD", x.std(0, ddof=min(1, len(x) - 1))), ("SAMPLES", x)):
        kind = fits.ImageHDU if hdus else fits.PrimaryHDU
        hdu = kind(data.astype(np.float32), header=header.copy())
        hdu.header["EXTNAME"] = (name, f"posterior {name.lower()}, {len(x)} samples")
        if data.ndim == 3 and name == "SAMPLES":  # without a third axis the 2 x 2 CD matrix would be singular
            step = "CD3_3" if "CD1_1" in header else "CDELT3"
            hdu.header.update({"CTYPE3": "SAMPLE", "CRPIX3": 1.0, "CRVAL3": 1.0, step: 1.0})
        hdus.append(hdu)
    image = BytesIO()  # in memory, so that a full disk is reported by the file system and not by a library
    fits.HDUList(hdus).writeto(image, checksum=True, output_verify="exception")
    write_bytes(path, image.getvalue())


def unit_card(unit: Any) -> tuple[str, str, str]:
    """BUNIT in the spelling of the FITS standard; a unit unknown to the standard is written unchanged."""
    from astropy import units

    if unit in DIMENSIONLESS:
        return "BUNIT", "", f"{unit}, dimensionless"
    try:
        return "BUNIT", units.Unit(str(unit)).to_string("fits"), "unit of the pixel values"
    except ValueError:
        return "BUNIT", str(unit), "unit of the pixel values"


def scale_cards(problem: ProblemLike, shape: tuple[int, int]) -> list[tuple[str, Any, str]]:
    """World coordinates: the problem's own cards if the position on the sky is known, else offsets from the centre."""
    height, width = shape
    unit = getattr(problem, "scale_unit", "arcsec")
    scale = float(problem.pixel_scale)
    if wcs := getattr(problem, "wcs", None):
        return [
            *((key, value, "") for key, value in dict(wcs).items()),
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
