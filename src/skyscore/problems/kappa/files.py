"""Reads the files of a real shear field: a galaxy catalogue, shear maps, or a table of clusters. All are checked.

A catalogue is one FITS table (role catalogue) or one FITS array per column (roles ra, dec, e1, e2, weight). Maps are
FITS images (roles gamma_1, gamma_2, std and optional mask) on the pixels of the prior.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skyscore import io
from skyscore.sky.wcs import check_pixels, wcs_of

__all__ = ["COLUMNS", "read_catalogue", "read_clusters", "read_shear_maps"]

COLUMNS = ("ra", "dec", "e1", "e2", "weight")
MAPS = ("gamma_1", "gamma_2", "std")
DEGREES = ("", "deg", "degree", "degrees")


def read_catalogue(files: dict[str, str], names: dict[str, str] | None = None) -> dict[str, np.ndarray]:
    """The columns `(N,)` of the galaxies: ra, dec [degree], e1, e2, weight.

    Arguments:
        files: by role: catalogue, or one file per column.
        names: column names in the table, where they differ from those above.

    Raises:
        InputError: for a missing or unreadable column, a column of different length or unit, or impossible values.
    """
    if "catalogue" in files:
        wanted = {name: (names or {}).get(name, name) for name in COLUMNS}
        found, units = io.read_columns(files["catalogue"], wanted)
        paths = dict.fromkeys(COLUMNS, files["catalogue"])
        for name in ("ra", "dec"):
            if units[name].lower() not in DEGREES:
                raise io.InputError(
                    f"{paths[name]}: the unit of column {wanted[name]!r} is {units[name]}; give degrees"
                )
    else:
        missing = [name for name in COLUMNS if name not in files]
        if missing:
            raise io.InputError(
                f"kappa: no file for {missing[0]}; name a catalogue or maps under `files` of the problem, or add the "
                "rows of its columns to config/datasets.tsv"
            )
        found, paths = {name: io.read_fits(files[name]) for name in COLUMNS}, files
    n = found["ra"].shape
    for name, column in found.items():
        if column.ndim != 1 or column.shape != n:
            raise io.InputError(
                f"{paths[name]}: shape {column.shape}, but the right ascensions have shape {n}; give one number per "
                "galaxy"
            )
        if not np.isfinite(column).all():
            raise io.InputError(f"{paths[name]}: some values of {name} are not finite; remove these galaxies")
    if (found["weight"] < 0).any() or not (found["weight"] > 0).any():
        raise io.InputError(f"{paths['weight']}: weights must be positive; remove the other galaxies")
    if np.abs(found["dec"]).max() > 90 or found["ra"].min() < -180 or found["ra"].max() > 360:
        raise io.InputError(
            f"{paths['dec']}: some coordinates are not on the sky; give right ascension and declination in degrees"
        )
    if max(np.abs(found["e1"]).max(), np.abs(found["e2"]).max()) > 5:
        raise io.InputError(f"{paths['e1']}: ellipticities beyond 5; remove galaxies whose shape fit failed")
    return found


def read_shear_maps(
    files: dict[str, str], pixels: int, scale: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Shear `(2, H, W)`, its standard deviation per component `(H, W)`, unmasked pixels `(H, W)`, and the WCS or None.

    A pixel is masked where the mask is not 0 or the standard deviation is not a positive number.

    Arguments:
        pixels: side of the map, equal to that of the prior.
        scale: pixel (arcmin), compared with the WCS.

    Raises:
        InputError: for a missing map, a map of another shape, no unmasked pixel, or an impossible shear.
    """
    missing = [role for role in MAPS if role not in files]
    if missing:
        raise io.InputError(f"kappa: no file for {missing[0]}; give the maps {', '.join(MAPS)}")
    shape = (pixels, pixels)
    found = {role: io.read_fits(files[role]) for role in (*MAPS, "mask") if role in files}
    for role, image in found.items():
        if image.shape != shape:
            raise io.InputError(
                f"{files[role]}: the map has shape {image.shape}, but the prior has {shape}; cut or bin the map, or "
                "use another prior"
            )
    std = found["std"]
    keep = np.isfinite(std) & (std > 0) & (found.get("mask", np.zeros(shape)) == 0)
    if not keep.any():
        raise io.InputError(
            f"{files['std']}: no unmasked pixel has positive noise; give the standard deviation of one component"
        )
    for role in MAPS[:2]:
        bad = int((~np.isfinite(found[role]) & keep).sum())
        if bad:
            raise io.InputError(
                f"{files[role]}: {bad} unmasked pixel(s) are not finite; mask them (role mask, 1 = no data)"
            )
        largest = float(np.abs(found[role][keep]).max())
        if largest > 5:
            raise io.InputError(
                f"{files[role]}: the largest shear is {largest:.3g}; give dimensionless mean shears"
            )
    wcs = wcs_of(files["gamma_1"])
    if wcs is not None:
        check_pixels(files["gamma_1"], wcs.pixel_scale_matrix * 60, scale, "arcmin")
    shear = np.stack([np.where(keep, found[role], 0) for role in MAPS[:2]])
    return shear, np.where(keep, std, 1), keep, wcs


def read_clusters(path: str) -> np.ndarray:
    """Clusters `(n, 4)`: ra, dec [degree], z, M500 [1e13 solar masses], from the table of Finoguenov et al. (2007).

    Raises:
        InputError: for a file that is not such a table.
    """
    rows = [line.split() for line in Path(path).read_text(errors="replace").splitlines()]
    try:
        table = [[float(row[k]) for k in (1, 2, 6, 7)] for row in rows if row and not row[0].startswith("#")]
    except (ValueError, IndexError) as error:
        raise io.InputError(
            f"{path}: not a table of clusters ({error}); columns are ID, RA, Dec, r500, flux, error, z, M500"
        ) from error
    if not table:
        raise io.InputError(f"{path}: the table of clusters has no row; download it again")
    return np.array(table)
