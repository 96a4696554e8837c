"""Reads sky maps as published by simulations: FITS images or NumPy arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .files import InputError, existing, reading
from .fits import read_fits

__all__ = ["read_map"]


def read_map(path: str | Path) -> np.ndarray:
    """A map (H, W), float64, from a .npy file (no pickles) or the first image of a FITS file.

    Raises:
        InputError: for another or damaged file, an array without two axes, or pixels that are not finite.
    """
    if str(path).endswith(".npy"):
        with reading(path, "NumPy array", "download it again"):
            values = np.asarray(np.load(existing(path), allow_pickle=False), dtype=np.float64)
    else:
        values = read_fits(path)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise InputError(
            f"{path}: not a map of two axes with finite values (shape {values.shape}); give a map that is"
        )
    return values
