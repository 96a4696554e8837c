"""Real shear: a catalogue of galaxies with shapes, binned on a patch of the tangent plane; clusters as a check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import io
from ..simulate.convergence import UNIT
from .sky import EAST_LEFT, sky_cards

__all__ = ["cluster_check", "observe_shear", "read_catalogue", "read_clusters"]

COLUMNS = ("ra", "dec", "e1", "e2", "weight")
ASSUMPTIONS = [
    "e1 and e2 are shear estimates, all corrections made, on axes to the west and to the north (a sky with east to the "
    "left), as the map's; with the other sign of e2 COSMOS shows nothing at its clusters",
    "one variance of the shape noise for all galaxies, the weighted one of the catalogue, cosmic shear included",
    "sources of one density in redshift, that of the simulated prior; shapes are independent",
]
RANDOM = 2000  # sets of random places behind the error of the mean at the clusters
SMOOTH = 1.0  # Gaussian width of the Kaiser-Squires maps that are compared at the clusters [arcmin]


def read_catalogue(files: dict[str, str]) -> dict[str, np.ndarray]:
    """The columns `(N,)` of galaxies, one FITS file each, by role: ra, dec [degree], e1, e2, weight.

    Raises:
        InputError: for a missing or unreadable column, one of another length, or values that cannot be.
    """
    missing = [name for name in COLUMNS if name not in files]
    if missing:
        raise io.InputError(f"kappa: no file for {missing[0]}; add its row to config/datasets.tsv")
    found = {name: io.read_fits(files[name]) for name in COLUMNS}
    n = found["ra"].shape
    for name, column in found.items():
        if column.ndim != 1 or column.shape != n:
            raise io.InputError(
                f"{files[name]}: shape {column.shape}, the right ascensions have {n}; give one number per galaxy"
            )
        if not np.isfinite(column).all():
            raise io.InputError(f"{files[name]}: values that are not finite; leave such galaxies out")
    if (found["weight"] < 0).any() or not (found["weight"] > 0).any():
        raise io.InputError(f"{files['weight']}: weights must be positive; leave other galaxies out")
    if np.abs(found["dec"]).max() > 90 or found["ra"].min() < -180 or found["ra"].max() > 360:
        raise io.InputError(f"{files['dec']}: no coordinates on the sky; give degrees")
    if max(np.abs(found["e1"]).max(), np.abs(found["e2"]).max()) > 5:
        raise io.InputError(f"{files['e1']}: ellipticities beyond 5; leave failed shapes out")
    return found


def read_clusters(path: str) -> np.ndarray:
    """Clusters `(n, 4)`: ra, dec [degree], z, M500 [1e13 solar masses], of the table of Finoguenov et al. (2007).

    Raises:
        InputError: for a file that is no such table.
    """
    rows = [line.split() for line in Path(path).read_text(errors="replace").splitlines()]
    try:
        table = [[float(row[k]) for k in (1, 2, 6, 7)] for row in rows if row and not row[0].startswith("#")]
    except (ValueError, IndexError) as error:
        raise io.InputError(
            f"{path}: not a table of clusters ({error}); columns are ID, RA, Dec, r500, flux, error, z, M500"
        ) from error
    if not table:
        raise io.InputError(f"{path}: a table of clusters without a row; download it again")
    return np.array(table)


def to_pixels(cards: dict[str, Any], ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row, from 0 at the centre of the first pixel, of places on the sky [degree]."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    return WCS(Header(cards.items())).world_to_pixel_values(ra, dec)


def observe_shear(
    s: dict[str, Any], files: dict[str, str], pixels: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    r"""Arrays and attributes of the observation.

    .. math:: \gamma = \frac{\sum w e}{\sum w}, \qquad \sigma^2 = \sigma_e^2 \frac{\sum w^2}{(\sum w)^2}

    over the galaxies of a pixel; pixels with fewer than `fewest` are masked.

    Arguments:
        s: complete settings, see `SETTINGS` of :mod:`skyscore.problems.kappa`.
        files: by role: ra, dec, e1, e2, weight, and perhaps clusters.
        pixels: side of the map, that of the prior.

    Raises:
        InputError: for files that cannot be used, or a map that holds no galaxy.
    """
    found = read_catalogue(files)
    ra, dec, w = found["ra"], found["dec"], found["weight"]
    center = s["center"] or [float((v.min() + v.max()) / 2) for v in (ra, dec)]
    cards = sky_cards(center, s["pixel_scale"] / 60 * EAST_LEFT, pixels)
    x, y = to_pixels(cards, ra, dec)
    column, row = np.rint(x), np.rint(y)
    inside = (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels) & (w > 0)
    at = (row[inside] * pixels + column[inside]).astype(int)

    def binned(values: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(at, values, pixels**2).reshape(pixels, pixels)

    w, galaxies = w[inside], binned()
    keep = galaxies >= s["fewest"]
    if not keep.any():
        raise io.InputError(
            f"{files['ra']}: no pixel of the map around {center} holds {s['fewest']} galaxies; "
            "check center and pixel_scale"
        )
    e = np.stack((found["e1"][inside], found["e2"][inside]))
    sigma_e = float(np.sqrt(np.average((e**2).mean(0), weights=w)))
    total = np.where(keep, binned(w), 1)
    arrays = {
        "shear": np.stack([np.where(keep, binned(w * one) / total, 0) for one in e]),
        "std": np.where(keep, sigma_e * np.sqrt(binned(w**2)) / total, 1),
        "keep": keep.astype(np.uint8),
        "galaxies": galaxies,
    }
    numbers = {
        "galaxies": int(galaxies[keep].sum()),
        "galaxies_left_out": int(len(ra) - galaxies[keep].sum()),
        "sigma_e": sigma_e,
        "unmasked_pixels": int(keep.sum()),
        "galaxies_per_arcmin2": float(galaxies[keep].mean() / s["pixel_scale"] ** 2),
    }
    print(", ".join(f"{key} {value:g}" for key, value in numbers.items()))
    if "clusters" in files:
        arrays["clusters"] = clusters_on(files["clusters"], s["cluster_mass"], cards, keep)
        numbers["clusters"] = len(arrays["clusters"])
    attrs = {
        "settings": s,
        "pixel_scale": s["pixel_scale"],
        "padding": s["padding"],
        "unit": "convergence",
        "units": {"shear": "1", "std": "1", "galaxies": "galaxies / pixel", "clusters": "pixel, pixel, 1, 1e13 Msun"},
        "axes": {"shear": ("component", "y", "x"), "clusters": ("cluster", "x, y, z, M500")},
        "flux_scale": UNIT,
        "flux_offset": 0.0,
        "wcs": cards,
        "assumptions": ASSUMPTIONS,
        "numbers": numbers,
    }  # fmt: skip
    return arrays, attrs


def clusters_on(path: str, mass: float, cards: dict[str, Any], keep: np.ndarray) -> np.ndarray:
    """Clusters `(n, 4)` above a mass [1e13 solar masses] on unmasked pixels: column, row, z, M500."""
    table = read_clusters(path)
    table = table[table[:, 3] > mass]
    x, y = to_pixels(cards, table[:, 0], table[:, 1])
    column, row = np.rint(x).astype(int), np.rint(y).astype(int)
    inside = (column >= 0) & (column < keep.shape[1]) & (row >= 0) & (row < keep.shape[0])
    inside[inside] = keep[row[inside], column[inside]]
    return np.column_stack((x, y, table[:, 2:]))[inside]


def cluster_check(
    maps: np.ndarray, clusters: np.ndarray, keep: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, float, float]:
    """Means of maps `(n, H, W)` at the clusters `(n,)`, and mean and scatter of that of the mean map at random places.

    The scatter is over RANDOM sets of as many unmasked pixels: what a map without relation to the clusters gives.
    """
    column, row = np.rint(clusters[:, :2]).astype(int).T
    here, mean = maps[:, row, column].mean(1), maps.mean(0)[keep]
    places = np.random.default_rng(seed).integers(len(mean), size=(RANDOM, len(clusters)))
    elsewhere = mean[places].mean(1)
    return here, float(elsewhere.mean()), float(elsewhere.std())
