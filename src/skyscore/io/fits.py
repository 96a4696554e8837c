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
    from skyscore.observation import ProblemLike, SamplesLike


REMEDY = "give a whole file, or download it again"
DIMENSIONLESS = ("convergence", "1")  # units that are none


def read_fits(path: str | Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """The first image of a FITS file, native byte order, float64.

    Raises:
        InputError: not FITS, cut short, no image in it, or not of the given `shape`.
    """
    import warnings

    from astropy.io import fits

    with reading(path, "FITS file, perhaps cut short", REMEDY), warnings.catch_warnings():
        warnings.simplefilter("error")  # astropy only warns about a file that is cut short
        with fits.open(existing(path), memmap=False) as file:
            number = first_image(file)
            data = None if number is None else file[number].data
    if data is None or data.dtype.fields is not None:  # the latter of random groups
        raise InputError(f"{path}: holds no image; give a FITS file with one")
    if shape is not None and data.shape != tuple(shape):
        raise InputError(
            f"{path}: the image has shape {data.shape}, expected {tuple(shape)}; give files that fit together"
        )
    return data.astype(np.float64)


def first_image(file: Any) -> int | None:
    """Number of the first HDU with an image: instruments often leave the primary one empty."""
    return next((k for k, hdu in enumerate(file) if hdu.is_image and hdu.header["NAXIS"] > 0), None)


def read_header(path: str | Path):
    """The header of the first image, that of the file where it holds none.

    Raises:
        InputError: not FITS.
    """
    from astropy.io import fits

    with reading(path, "FITS file", REMEDY), fits.open(existing(path)) as file:
        return file[first_image(file) or 0].header.copy()


def read_columns(path: str | Path, names: Mapping[str, str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Columns `(N,)`, float64, of the first table of a FITS file, and their units ("" where none is given).

    Arguments:
        names: of the columns in the file, upper or lower case, by the names under which they are wanted.

    Raises:
        InputError: not FITS, cut short, no table in it, a column that is absent or no numbers.
    """
    import warnings

    from astropy.io import fits

    with reading(path, "FITS file, perhaps cut short", REMEDY), warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(existing(path), memmap=False) as file:
            tables = [hdu for hdu in file if getattr(hdu, "columns", None) is not None]
            if not tables:
                raise InputError(f"{path}: holds no table; give a FITS table with one row for each galaxy")
            held = {column.name.lower(): column for column in tables[0].columns}
            absent = [name for name in names.values() if name.lower() not in held]
            if absent:
                raise InputError(
                    f"{path}: no column {absent[0]!r} (it holds {', '.join(held)}); name it under `columns`"
                )
            found = {key: np.asarray(tables[0].data[held[name.lower()].name]) for key, name in names.items()}
            units = {key: str(held[name.lower()].unit or "").strip() for key, name in names.items()}
    for key, column in found.items():
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            raise InputError(
                f"{path}: the column {names[key]!r} is no column of numbers; give one per galaxy"
            )
    return {key: column.astype(np.float64) for key, column in found.items()}, units


def write_fits(
    path: str | Path, samples: SamplesLike, problem: ProblemLike, source: Mapping | None = None
) -> None:
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
        if (
            data.ndim == 3 and name == "SAMPLES"
        ):  # without an axis of its own a matrix of two would be singular
            step = "CD3_3" if "CD1_1" in header else "CDELT3"
            hdu.header.update({"CTYPE3": "SAMPLE", "CRPIX3": 1.0, "CRVAL3": 1.0, step: 1.0})
        hdus.append(hdu)
    image = BytesIO()  # not a file: what a full disk says is then that of the file system, not of a library
    fits.HDUList(hdus).writeto(image, checksum=True, output_verify="exception")
    write_bytes(path, image.getvalue())


def unit_card(unit: Any) -> tuple[str, str, str]:
    """BUNIT in the spelling of the FITS standard; a unit it does not know is written as it is."""
    from astropy import units

    if unit in DIMENSIONLESS:
        return "BUNIT", "", f"{unit}, without dimension"
    try:
        return "BUNIT", units.Unit(str(unit)).to_string("fits"), "unit of the pixel values"
    except ValueError:
        return "BUNIT", str(unit), "unit of the pixel values"


def scale_cards(problem: ProblemLike, shape: tuple[int, int]) -> list[tuple[str, Any, str]]:
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
