"""The first two moments of a set of images: mean, leading principal components, and the remaining variance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from .cosine import cosine_matrix, measured_power

__all__ = ["Moments", "field_moments", "leading_moments", "moments_of"]

RANK = 256  # components: more of them would tie the smallest scales of the flux fit to the brightness of the image


class Moments(NamedTuple):
    """First two moments of a prior, in prior units.

    Attributes:
        mean: m, shape `(D,)`.
        components: U, orthonormal rows, shape `(K, D)`.
        variances: v, of the coefficients along U, shape `(K,)`.
        residual: mean variance along every other direction (the starting value for the amount of texture).
        modes: mean square of the cosine modes of square images with one channel, `(H, H)`; otherwise None.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    residual: float
    modes: np.ndarray | None = None


def moments_of(images: np.ndarray, rank: int = RANK) -> Moments:
    """Moments of images `(n, ...)` with `rank` principal components (at most half of n) and the mean of the rest."""
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


def leading_moments(
    mean: np.ndarray, components: np.ndarray, variances: np.ndarray, residual: float, rank: int = RANK
) -> Moments:
    """Moments with the `rank` leading of the given principal components; the others add to the residual variance.

    Arguments:
        mean: mean image `(1, n, n)`, in prior units.
        components: orthonormal rows `(K, n^2)`.
        variances: variances along the components, falling, `(K,)`, in prior units squared.
        residual: mean variance in all other directions.
        rank: maximum number of components that are kept.
    """
    U, v, n = np.asarray(components, dtype=float), np.asarray(variances, dtype=float), mean.shape[-1]
    total = float(v.sum()) + residual * (n**2 - len(v))
    T = cosine_matrix(n).numpy()
    share = (T @ U.reshape(-1, n, n) @ T.T) ** 2  # fraction of a component's variance in each cosine mode
    modes = np.tensordot(v, share, 1) + residual * (1 - share.sum(0)).clip(min=0)
    rank = max(1, min(rank, len(v), n**2 - 1))
    rest = max((total - float(v[:rank].sum())) / (n**2 - rank), 1e-6 * float(v[0]))
    return Moments(np.asarray(mean, dtype=float).ravel(), U[:rank], v[:rank], rest, modes)


def field_moments(power: np.ndarray, mean: float, rank: int = RANK) -> Moments:
    """Moments of a Gaussian field with independent cosine modes; the components are the modes of largest variance.

    Arguments:
        power: variances of the modes, `(n, n)`, in prior units squared.
        mean: mean of all pixels, in prior units.
        rank: maximum number of components.
    """
    P, n = np.asarray(power, dtype=float), len(power)
    T = cosine_matrix(n).numpy()
    rank = max(1, min(rank, n**2 - 1))
    rows, columns = np.unravel_index(np.argsort(-P, axis=None, kind="stable")[:rank], P.shape)
    U, v = (T[rows][:, :, None] * T[columns][:, None]).reshape(rank, -1), P[rows, columns]
    rest = max((float(P.sum()) - float(v.sum())) / (n**2 - rank), 1e-6 * float(v[0]))
    return Moments(np.full(n**2, float(mean)), U, v, rest, P)
