"""Simulated interferometer observations: a disk (or a held-out image) and the uv tracks of an ALMA-like array."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from skyscore.io import InputError
from skyscore.operators.interferometry import (
    Interferometer,
    primary_beam,
    to_complex,
    to_real,
)
from skyscore.operators.uvplane import average_cells
from skyscore.simulate.disks import Disks
from skyscore.simulate.tracks import spiral_array, thermal_noise, uv_tracks
from skyscore.units import ARCSEC

__all__ = ["AXES", "cell_of", "check_sampling", "simulate_radio"]

AXES = {  # of the arrays that are not images
    "uv": ("visibility", "component"),
    "visibilities": ("part and visibility",),  # all real parts, then all imaginary parts
    "weights": ("visibility",),
    "singular_vectors": ("pixel", "mode"),
    "singular_values": ("mode",),
    "coefficients": ("mode",),
}


def simulate_radio(
    s: dict[str, Any], images: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of one observation; `seed` draws source and noise. The flux scale is left at 1.

    The array follows from the settings and does not depend on the seed. `truth` is in Jy per pixel here.

    Arguments:
        s: complete settings, see `problems/radio/settings.yaml`.
        images: (n, 1, h, w), from the prior's training distribution; a source of kind "held_out" is one of them.

    Raises:
        InputError: for pixels that alias the longest baselines.
    """
    generator = np.random.default_rng(seed)
    pixels = images.shape[-1]
    if s["source"] == "disk":
        truth = Disks.simulate(1, pixels, seed=int(generator.integers(2**31)))[0].astype(np.float64)
    else:
        truth = np.asarray(images[generator.integers(len(images))], dtype=np.float64)
    truth *= s["flux"] / truth.sum()
    scale, shape = s["field"] / pixels, (pixels, pixels)
    positions = spiral_array(s["antennas"], s["longest_baseline"])
    first, last = s["hour_angles"]
    hours = np.linspace(first, last, s["integrations"])
    uv = uv_tracks(positions, s["latitude"], s["declination"], hours, s["frequency"])
    sigma = thermal_noise(s["sefd"], s["bandwidth"], s["integration"])
    check_sampling(uv, s["field"], pixels)
    A = Interferometer(uv, shape, scale, primary_beam(shape, scale, s["frequency"], s["dish"]), eps=1e-12)
    clean = A(torch.from_numpy(truth)[None])[0].numpy()
    y = clean + sigma * generator.standard_normal(clean.shape)
    weights = np.full(len(uv), sigma**-2)
    if s["cell"] > 0:
        V = to_complex(torch.from_numpy(y)).numpy()
        uv, V, weights = average_cells(uv, V, weights, cell_of(s["field"], s["cell"]))
        y = to_real(torch.from_numpy(V)).numpy()
    arrays = {"uv": uv, "visibilities": y, "weights": weights, "truth": truth}
    attrs = {
        "settings": s,
        "pixels": pixels,
        "pixel_scale": scale,
        "unit": "Jy / pixel",
        "units": {"uv": "wavelength", "visibilities": "Jy", "weights": "Jy-2", "truth": "prior units"},
        "axes": AXES,
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "numbers": {
            "visibilities": len(uv),
            "noise_per_visibility_mjy": 1e3 * sigma,
            "signal_to_noise_longest_scale": float(np.hypot(*np.split(clean, 2)).max() / sigma),
            "longest_baseline_kilowavelength": float(np.hypot(*uv.T).max() / 1e3),
        },
    }
    return arrays, attrs


def check_sampling(uv: np.ndarray, field: float, pixels: int) -> None:
    """Checks that the pixels of a frame sample the longest baselines: two pixels per fringe.

    Arguments:
        uv: baselines `(M, 2)` (wavelengths).
        field: side of the frame (arcsec).
        pixels: pixels on a side.

    Raises:
        InputError: if they do not.
    """
    widest = pixels * 0.5 / np.abs(uv).max() / ARCSEC
    if field > widest:
        raise InputError(
            f"radio: {pixels} pixels over {field:g} arcsec alias the longest baselines; "
            f"set field to at most {widest:.3g} arcsec, or remove these baselines"
        )


def cell_of(field: float, share: float) -> float:
    """Side of a cell (wavelengths): the fraction `share` of the resolution 1 / field of a frame `field` arcsec wide."""
    return share / np.radians(field / 3600)
