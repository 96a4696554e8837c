"""Cosine modes of a patch of the sky: the transform, and the variances of the modes of a stationary field.

The cosine transform is the Fourier transform of a patch and its mirror images. A patch of the sky is not periodic,
and its own Fourier modes would join opposite edges.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["cosine_matrix", "cosine_power", "measured_power"]


def cosine_matrix(n: int) -> Tensor:
    """The orthonormal cosine transform (type II) T, `(n, n)`, float64; rows are modes."""
    i = torch.arange(n, dtype=torch.float64)
    T = torch.cos(torch.pi / n * i[:, None] * (i + 0.5)) * (2 / n) ** 0.5
    T[0] /= 2**0.5
    return T


def cosine_power(covariance: np.ndarray) -> np.ndarray:
    """Variances `(n, n)` of the cosine modes of a patch, given its covariance at lags 0 .. n - 1, even in both axes.

    With w_k(d) the autocorrelation of mode k at lag d, P_kl = sum_de w_k(d) xi(d, e) w_l(e). This is exact and does
    not need the covariance matrix.
    """
    n = len(covariance)
    T = cosine_matrix(n).numpy()
    w = np.stack([np.correlate(mode, mode, "full")[n - 1 :] for mode in T])
    w[:, 1:] *= 2  # lags of both signs
    return w @ covariance @ w.T


def measured_power(images: np.ndarray, square: bool = True) -> np.ndarray:
    """Mean square `(n, n)` of the cosine modes of images `(N, 1, n, n)`; `square` averages it with its transpose."""
    T = cosine_matrix(images.shape[-1]).numpy()
    power = sum(((T @ image @ T.T) ** 2) for image in images[:, 0]) / len(images)
    return (power + power.T) / 2 if square else power
