"""Simulated shear maps: galaxy counts, masks around stars, shape noise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.stats import skew

from skyscore.operators.shear import ShearOperator
from skyscore.simulate.convergence import UNIT

__all__ = ["simulate_shear", "star_mask"]

HOLES = (1.5, 6.0)  # radii of the masks around stars [arcmin]; small ones are frequent, N(> r) ~ 1 / r^2


def simulate_shear(
    s: dict[str, Any], images: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of one observation of one of `images` (n, 1, H, W), drawn by `seed`.

    The number of galaxies in a pixel is Poisson. The shear of a pixel is the mean over its galaxies and has noise
    sigma_e / sqrt(galaxies) in each component. Pixels without galaxies are masked.

    Arguments:
        s: complete settings, see `problems/kappa/settings.yaml`.
    """
    generator = np.random.default_rng(seed)
    truth = np.asarray(images[generator.integers(len(images))], dtype=np.float64)  # (1, H, W), prior units
    shape = truth.shape[-2:]
    keep = star_mask(shape, s["pixel_scale"], s["masked"], generator)
    galaxies = generator.poisson(s["density"] * s["pixel_scale"] ** 2, shape) * keep
    keep = galaxies > 0
    std = s["sigma_e"] / np.sqrt(np.maximum(galaxies, 1))
    operator = ShearOperator(torch.from_numpy(keep), s["padding"])
    clean = operator(UNIT * torch.from_numpy(truth)[None])
    noise = generator.standard_normal((2, keep.sum())) * std[keep]
    shear = operator.maps(clean + torch.from_numpy(noise).reshape(1, -1))[0].numpy()
    arrays = {"shear": shear, "std": std, "keep": keep.astype(np.uint8), "galaxies": galaxies, "truth": truth}
    attrs = {
        "settings": s,
        "pixel_scale": s["pixel_scale"],
        "padding": s["padding"],
        "unit": "convergence",
        "units": {"shear": "1", "std": "1", "galaxies": "galaxies / pixel", "truth": "prior units"},
        "axes": {"shear": ("component", "y", "x")},
        "flux_scale": UNIT,
        "flux_offset": 0.0,
        "numbers": {
            "unmasked_pixels": int(keep.sum()),
            "masked_share": 1 - float(keep.mean()),
            "snr_per_pixel": UNIT * float(images.std()) / float(np.median(std[keep])),
            "truth_skewness": float(skew(truth, axis=None)),
        },
    }
    return arrays, attrs


def star_mask(
    shape: tuple[int, int], scale: float, masked: float, generator: np.random.Generator
) -> np.ndarray:
    """True where no star hides the galaxies, (H, W).

    Circles are placed at random positions until a fraction `masked` of the pixels is hidden.
    """
    keep = np.ones(shape, dtype=bool)
    y, x = np.mgrid[: shape[0], : shape[1]] * scale
    while 1 - keep.mean() < masked:
        radius = min(HOLES[0] / math.sqrt(generator.uniform()), HOLES[1])
        row, column = (generator.uniform(0, n * scale) for n in shape)
        keep &= np.hypot(y - row, x - column) > radius
    return keep
