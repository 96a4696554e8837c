"""Real shear data: a galaxy catalogue binned on a patch of the tangent plane, or shear maps; clusters as a check."""

from __future__ import annotations

from typing import Any

import numpy as np

from skyscore import io
from skyscore.simulate.convergence import UNIT
from skyscore.sky.wcs import EAST_LEFT, cards_of, sky_cards

from .files import read_catalogue, read_clusters, read_shear_maps

__all__ = ["cluster_check", "observe_shear"]

ASSUMPTIONS = [
    "e1 and e2 are fully corrected shear estimates on axes to the west and to the north (east to the left), as in the "
    "map; with the other sign of e2 COSMOS shows no signal at its clusters",
    "one variance of the shape noise for all galaxies: the weighted variance of the catalogue, which includes cosmic "
    "shear",
    "one redshift distribution of the sources, that of the simulated prior; shapes are independent",
]
OF_MAPS = [
    "shear on the axes of the pixels: gamma_1 > 0 stretches images along x (columns), gamma_2 > 0 along x = y",
    "noise is independent between pixels and has the given standard deviation in each component",
    "one redshift distribution of the sources, that of the simulated prior",
]
RANDOM = 2000  # sets of random positions from which the error of the mean at the clusters is measured
SMOOTH = 1.0  # Gaussian width of the Kaiser-Squires maps compared at the clusters [arcmin]


def to_pixels(cards: dict[str, Any], ra: np.ndarray, dec: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Column and row of positions on the sky [degree], counted from 0 at the centre of the first pixel."""
    from astropy.io.fits import Header
    from astropy.wcs import WCS

    return WCS(Header(cards.items())).world_to_pixel_values(ra, dec)


def observe_shear(
    s: dict[str, Any], files: dict[str, str], pixels: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of the observation.

    Arguments:
        s: complete settings, see `problems/kappa/settings.yaml`.
        files: by role, see :mod:`skyscore.problems.kappa.files`; optionally clusters.
        pixels: side of the map, equal to that of the prior.

    Raises:
        InputError: for unusable files, or a map without galaxies.
    """
    of_maps = any(role.startswith("gamma") for role in files)
    arrays, numbers, cards = (mapped if of_maps else binned)(s, files, pixels)
    if "clusters" in files:
        if cards is None:
            raise io.InputError(
                f"{files['gamma_1']}: no world coordinates, but a table of clusters needs them; add a WCS to the header"
            )
        arrays["clusters"] = clusters_on(files["clusters"], s["cluster_mass"], cards, arrays["keep"] > 0)
        numbers["clusters"] = len(arrays["clusters"])
        if not numbers["clusters"]:
            raise io.InputError(
                f"{files['clusters']}: no cluster above {s['cluster_mass']:g}e13 solar masses on unmasked pixels; "
                "omit the file, or lower cluster_mass"
            )
    print(", ".join(f"{key} {value:g}" for key, value in numbers.items()))
    attrs = {
        "settings": s,
        "pixel_scale": s["pixel_scale"],
        "padding": s["padding"],
        "unit": "convergence",
        "units": {"shear": "1", "std": "1", "galaxies": "galaxies / pixel", "clusters": "pixel, pixel, 1, 1e13 Msun"},
        "axes": {"shear": ("component", "y", "x"), "clusters": ("cluster", "x, y, z, M500")},
        "flux_scale": UNIT,
        "flux_offset": 0.0,
        "assumptions": OF_MAPS if of_maps else ASSUMPTIONS,
        "numbers": numbers,
    }  # fmt: skip
    return arrays, attrs | ({} if cards is None else {"wcs": cards})


def mapped(s: dict[str, Any], files: dict[str, str], pixels: int):
    """Arrays, numbers and FITS cards of an observation given as shear maps."""
    shear, std, keep, wcs = read_shear_maps(files, pixels, s["pixel_scale"])
    shear[1] *= s["e2_sign"]
    arrays = {"shear": shear, "std": std, "keep": keep.astype(np.uint8)}
    return arrays, {"unmasked_pixels": int(keep.sum())}, None if wcs is None else cards_of(wcs, pixels)


def binned(s: dict[str, Any], files: dict[str, str], pixels: int):
    r"""Arrays, numbers and FITS cards of an observation given as a catalogue.

    .. math:: \gamma = \frac{\sum w e}{\sum w}, \qquad \sigma^2 = \sigma_e^2 \frac{\sum w^2}{(\sum w)^2}

    over the galaxies of a pixel; pixels with fewer than `fewest` galaxies are masked.
    """
    found = read_catalogue(files, s["columns"])
    ra, dec, w = found["ra"], found["dec"], found["weight"]
    center = s["center"] or [float((v.min() + v.max()) / 2) for v in (ra, dec)]
    cards = sky_cards((center[0], center[1]), s["pixel_scale"] / 60 * EAST_LEFT, pixels)
    x, y = to_pixels(cards, ra, dec)
    column, row = np.rint(x), np.rint(y)
    inside = (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels) & (w > 0)
    at = (row[inside] * pixels + column[inside]).astype(int)

    def sums(values: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(at, values, pixels**2).reshape(pixels, pixels)

    w, galaxies = w[inside], sums()
    keep = galaxies >= s["fewest"]
    if not keep.any():
        catalogue = files.get("catalogue", files.get("ra"))
        raise io.InputError(
            f"{catalogue}: no pixel of the map around {center} has {s['fewest']} galaxies; check center and pixel_scale"
        )
    e = np.stack((found["e1"][inside], s["e2_sign"] * found["e2"][inside]))
    sigma_e = float(np.sqrt(np.average((e**2).mean(0), weights=w)))
    total = np.where(keep, sums(w), 1)
    arrays = {
        "shear": np.stack([np.where(keep, sums(w * one) / total, 0) for one in e]),
        "std": np.where(keep, sigma_e * np.sqrt(sums(w**2)) / total, 1),
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
    return arrays, numbers, cards


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
    """Mean at the clusters of each of the maps `(n, H, W)`, `(n,)`; and the same of the mean map at random positions.

    The last two numbers are mean and standard deviation over RANDOM sets of as many unmasked pixels: what a map
    unrelated to the clusters gives.
    """
    column, row = np.rint(clusters[:, :2]).astype(int).T
    here, mean = maps[:, row, column].mean(1), maps.mean(0)[keep]
    places = np.random.default_rng(seed).integers(len(mean), size=(RANDOM, len(clusters)))
    elsewhere = mean[places].mean(1)
    return here, float(elsewhere.mean()), float(elsewhere.std())
