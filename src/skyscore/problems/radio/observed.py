"""Real visibilities: a table of baselines, checked and converted to an observation."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from skyscore.io import InputError, reading
from skyscore.operators.uvplane import average_cells, cells_of
from skyscore.sky.wcs import EAST_LEFT, sky_cards

from .closure import closure_phases
from .radial import disk_of
from .simulated import AXES, cell_of, check_sampling
from .uvfits import is_uvfits, phase_center, read_uvfits

__all__ = ["observe_radio", "read_visibilities"]

COLUMNS = ("u", "v", "V", "weights")
ASSUMPTIONS = [
    "the phase centre of the file is the middle of the frame; no offset is fitted",
    "phase convention V = sum I exp(-2 pi i (u l + v m)), l to the east: the other sign rotates the sky by 180 degrees",
    "the weights of the file are inverse variances of the real and of the imaginary part, up to one factor for each "
    "group of similar weights, and all gains have the same fractional scatter; both are measured on neighbouring "
    "visibilities before the fit",
    "continuum at one frequency; gain errors are independent between visibilities",
]


def read_visibilities(path: str | Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads uv (M, 2) in wavelengths, V (M,) complex in Jy and weights (M,) in Jy^-2.

    The file is UVFITS (:mod:`skyscore.problems.radio.uvfits`) or a NumPy archive with u, v, V, weights. Rows without
    weight and autocorrelations (u = v = 0) are dropped.

    Raises:
        InputError: for another kind of file, values that are not finite, or no remaining row.
    """
    if is_uvfits(path):
        data = read_uvfits(path)
        return data.uv, data.V, data.weights
    if not zipfile.is_zipfile(path):  # NumPy would take it for a pickle, and explain how to load that
        raise InputError(f"{path}: neither UVFITS nor a NumPy archive of visibilities; download it again")
    with reading(path, "NumPy archive of visibilities", "download it again"):
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in COLUMNS if name not in file]
            found = {name: np.asarray(file[name]) for name in COLUMNS if name in file}
    if missing:
        raise InputError(
            f"{path}: no array {missing[0]!r}; give u, v [wavelengths], V [Jy] and weights [1 / Jy^2]"
        )
    shapes = {name: array.shape for name, array in found.items()}
    if len(set(shapes.values())) > 1 or found["u"].ndim != 1:
        raise InputError(f"{path}: the arrays have shapes {shapes}; give one row for each visibility")
    if not all(np.isfinite(array).all() for array in found.values()):
        raise InputError(f"{path}: some values are not finite; remove these rows")
    uv = np.stack((found["u"], found["v"]), 1).astype(np.float64)
    keep = (found["weights"] > 0) & (np.abs(uv).max(1) > 0)
    if not keep.any():
        raise InputError(f"{path}: no row has a positive weight; give inverse variances [1 / Jy^2]")
    return uv[keep], found["V"][keep].astype(np.complex128), found["weights"][keep].astype(np.float64)


def read_profile(path: str | Path) -> np.ndarray:
    """Reads radius (arcsec) and brightness (Jy / sr), `(n, 2)`, from a text file with two columns.

    Raises:
        InputError: for any other content, and for radii that do not increase.
    """
    with (
        reading(path, "table of a radial profile", "give radius and brightness, two numbers per line"),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")  # NumPy only warns about a file without numbers
        table = np.loadtxt(path, ndmin=2)
    if (
        table.shape[1] != 2
        or len(table) < 2
        or not np.isfinite(table).all()
        or (np.diff(table[:, 0]) <= 0).any()
    ):
        raise InputError(
            f"{path}: not a radial profile; give an increasing radius [arcsec] and a brightness [Jy / sr] on each line"
        )
    return table


def observe_radio(
    s: dict[str, Any], files: dict[str, str], pixels: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of the observation; the flux scale is left at 1.

    Arguments:
        s: complete settings, see `problems/radio/settings.yaml`.
        files: by role: visibilities; and optional checks of the image: `closure_...`, UVFITS files from which closure
            phases are computed, and `profile`, a published radial profile.
        pixels: side of the frame.

    Raises:
        InputError: for a file without usable visibilities, or pixels that alias them.
    """
    if "visibilities" not in files:
        raise InputError(
            "radio: no file for visibilities; name it under `files` of the problem, or add its row to "
            "config/datasets.tsv"
        )
    path = files["visibilities"]
    uv, V, weights = read_visibilities(path)
    check_sampling(uv, s["field"], pixels)
    longest = float(np.hypot(*uv.T).max())
    if longest < cell_of(s["field"], 1.0):
        raise InputError(
            f"{path}: the longest baseline, {longest:.4g} wavelengths, does not resolve the field of "
            f"{s['field']:g} arcsec; give u and v in wavelengths, or set a larger field"
        )
    numbers: dict[str, float] = {"visibilities": len(uv)}
    if s["calibrate_weights"]:
        weights, factors, gain = calibrate_weights(uv, V, weights, cell_of(s["field"], 1.0))
        numbers["gain_scatter"] = gain
        for (low, high), k in factors.items():
            print(f"weights {low:.3g} to {high:.3g} / Jy^2: measured variance is {k:.2f} times 1 / weight")
        print(f"scatter of the gains: {100 * gain:.1f} per cent")
    if s["cell"] > 0:
        uv, V, weights = average_cells(uv, V, weights, cell_of(s["field"], s["cell"]))
    scale = s["field"] / pixels
    arrays = {"uv": uv, "visibilities": np.concatenate((V.real, V.imag)), "weights": weights}
    for role in sorted(role for role in files if role.startswith("closure")):
        triangles = closure_phases(read_uvfits(files[role]), s["closure_interval"])
        if not len(triangles["phase"]):
            raise InputError(
                f"{files[role]}: no triangle has strong enough visibilities; remove the role {role}"
            )
        numbers[f"{role}_phases"] = len(triangles["phase"])
        arrays |= {f"{role}_{name}": array for name, array in triangles.items()}
    if "profile" in files:
        arrays["profile"] = read_profile(files["profile"])
        numbers |= disk_of(s, arrays["profile"], pixels).published_numbers()
    attrs = {
        "settings": s,
        "pixels": pixels,
        "pixel_scale": scale,
        "unit": "Jy / pixel",
        "units": {"uv": "wavelength", "visibilities": "Jy", "weights": "Jy-2", "profile": "arcsec, Jy sr-1"},
        "axes": axes_of(arrays),
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "assumptions": ASSUMPTIONS,
        "numbers": numbers
        | {
            "longest_baseline_kilowavelength": longest / 1e3,
            "natural_noise_mjy_per_beam": float(1e3 / np.sqrt(weights.sum())),
        },
    }
    center = s["phase_center"] or (phase_center(path) if is_uvfits(path) else None)
    if center is not None:
        attrs["wcs"] = sky_cards(center, scale / 3600 * EAST_LEFT, pixels, projection="SIN")
    return arrays, attrs


def axes_of(arrays: dict[str, np.ndarray]) -> dict[str, tuple[str, ...]]:
    """Names of the axes of an observation's arrays, as stored in its file."""
    of_closure = {
        "uv": ("triangle", "leg", "component"),
        "phase": ("triangle",),
        "covariance": ("triangle",) * 2,
    }
    own = {"profile": ("radius", "r, brightness")} if "profile" in arrays else {}
    return (
        AXES
        | own
        | {name: of_closure[name.rsplit("_", 1)[-1]] for name in arrays if name.startswith("closure")}
    )


def scatter_in_cells(
    uv: np.ndarray, V: np.ndarray, weights: np.ndarray, cell: float
) -> tuple[float, float] | None:
    """Weighted variance of visibilities about the mean of their cell, and its error; None if no cell holds two.

    The variance is 1 if the weights are inverse variances, for any source that does not change within a cell.
    """
    _, turned, number = cells_of(uv, cell)
    _, mean, W = average_cells(uv, V, weights, cell)
    degrees = 2 * (len(V) - len(W))
    if not degrees:
        return None
    r = np.where(turned, V.conj(), V) - mean[number]
    scatter = float(np.sum(weights * np.abs(r) ** 2) / degrees)
    return scatter, scatter * float(np.sqrt(2 / degrees))


def calibrate_weights(
    uv: np.ndarray, V: np.ndarray, weights: np.ndarray, resolution: float, fewest: int = 60
) -> tuple[np.ndarray, dict[tuple[float, float], float], float]:
    """Weights (M,) that agree with the scatter of neighbouring visibilities, before any image is fitted.

    Weights of combined observations are often correct within one observation and wrong between them, and gain errors
    scatter strong visibilities more than weak ones. The variance of a part is therefore modelled as k / w + f^2 |V|^2,
    with a factor k for each group of similar weights (between the same powers of 3), one f for all, and |V| the mean
    over half a `resolution`. Both are fitted to the squared deviations from the means of cells a tenth of a resolution
    wide (exponential deviates: least squares, weighted by the fit itself). Gain errors are treated as independent,
    which they are not.

    Arguments:
        resolution: 1 / field (wavelengths).
        fewest: a group with fewer visibilities that have a neighbour keeps its weights, k = 1.

    Returns:
        weights; the factors k, by the smallest and the largest weight of their group; and f.
    """
    power = np.floor(np.log(weights) / np.log(3.0)).astype(int)
    strong = squared_amplitude(uv, V, weights, 0.5 * resolution)
    rows, deviations, freedom = [], [], []
    for group in np.unique(power):
        own = np.flatnonzero(power == group)
        _, turned, number = cells_of(uv[own], 0.1 * resolution)
        _, mean, W = average_cells(uv[own], V[own], weights[own], 0.1 * resolution)
        left = 1 - weights[own] / W[number]
        if np.sum(left > 1e-9) >= fewest:
            kept = left > 1e-9
            r = np.where(turned, V[own].conj(), V[own]) - mean[number]
            rows.append(own[kept])
            deviations.append((0.5 * weights[own] * np.abs(r) ** 2)[kept] / left[kept])
            freedom.append(left[kept])
    if not rows:
        return weights, {}, 0.0
    columns = np.zeros((sum(map(len, rows)), len(rows) + 1))
    columns[np.arange(len(columns)), np.repeat(np.arange(len(rows)), [len(r) for r in rows])] = 1
    flat = np.concatenate(rows)
    columns[:, -1] = weights[flat] * strong[flat]
    e, root, fitted = np.concatenate(deviations), np.sqrt(np.concatenate(freedom)), 1.0
    for _ in range(20):
        p = nnls(columns * (root / fitted)[:, None], e * root / fitted)[0]
        fitted = np.maximum(columns @ p, 1e-3)
    factors = np.ones(len(weights))
    found = {}
    for k, own in zip(p, rows, strict=False):
        same = power == power[own[0]]
        factors[same] = k
        found[float(weights[same].min()), float(weights[same].max())] = float(k)
    return 1 / (factors / weights + p[-1] * strong), found, float(np.sqrt(p[-1]))


def squared_amplitude(uv: np.ndarray, V: np.ndarray, weights: np.ndarray, cell: float) -> np.ndarray:
    """|V|^2 (M,) of the mean over the cell of each visibility, minus the contribution of noise, at least 0."""
    number = cells_of(uv, cell)[2]
    _, mean, W = average_cells(uv, V, weights, cell)
    return np.maximum(np.abs(mean) ** 2 - 2 / W, 0)[number]
