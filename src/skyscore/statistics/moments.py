"""The first two moments of a set of images: mean, leading principal components, and the variance that is left."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from .cosine import measured_power

__all__ = ["Moments", "moments_of"]


class Moments(NamedTuple):
    """First two moments of a prior.

    Attributes:
        mean: m, shape `(D,)`.
        components: U, orthonormal rows, shape `(K, D)`.
        variances: v, of the coefficients along U, shape `(K,)`.
        residual: mean variance along every other direction (where the search for the texture starts).
        modes: mean square of the cosine modes of square images of one channel, `(H, H)`; else None.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    residual: float
    modes: np.ndarray | None = None


def moments_of(images: np.ndarray, rank: int = 256) -> Moments:
    """Moments of images `(n, ...)`: the `rank` leading principal components (at most half of n) and the mean rest."""
    flat = torch.as_tensor(np.asarray(images)).double().flatten(1)
    mean, n = flat.mean(0), len(flat)
    rank = max(1, min(rank, n // 2, flat.shape[1] - 1))
    _, s, Vh = torch.linalg.svd(flat - mean, full_matrices=False)
    v = s**2 / (n - 1)
    rest = max(float(v[rank:].sum()) / (flat.shape[1] - rank), 1e-6 * float(v[0]))
    shape = np.shape(images)[1:]
    square = len(shape) == 3 and shape[0] == 1 and shape[1] == shape[2]
    modes = measured_power(np.asarray(images) - mean.reshape(shape).numpy()) if square else None
    return Moments(mean.numpy(), Vh[:rank].numpy(), v[:rank].numpy(), rest, modes)
