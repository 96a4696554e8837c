r"""Cells of the uv plane: weights for imaging, and averages of visibilities.

A visibility and its conjugate at -(u, v) are one datum: both are folded onto the half plane v >= 0 and then sorted
into square cells. With :math:`W_c` the sum of the natural weights :math:`w_k = 1 / \sigma_k^2` in a cell,

.. math:: \text{uniform:}\ \frac{w_k}{W_c}, \qquad
    \text{Briggs:}\ \frac{w_k}{1 + W_c f^2}, \quad f^2 = \frac{(5 \cdot 10^{-R})^2}{\sum_c W_c^2 / \sum_k w_k}

R = 2 is close to natural and R = -2 to uniform weighting. Weights change a dirty image, never a likelihood.

Reference: Briggs (1995), High fidelity deconvolution of moderately resolved sources, PhD thesis, New Mexico Tech.
"""

from __future__ import annotations

import numpy as np

__all__ = ["average_cells", "briggs_weights", "uniform_weights"]


def cells_of(uv: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Folded baselines `(M, 2)`, whether each was reversed `(M,)`, and the number of its cell `(M,)`, counted from 0.

    Arguments:
        uv: baselines in wavelengths, `(M, 2)`.
        cell: side of a cell (wavelengths); cells are centred on its multiples.
    """
    turned = (uv[:, 1] < 0) | ((uv[:, 1] == 0) & (uv[:, 0] < 0))
    folded = np.where(turned[:, None], -uv, uv)
    index = np.rint(folded / cell).astype(np.int64)
    # the fold cuts cells on the axis v = 0 in half: join the two halves
    swap = (index[:, 1] == 0) & (index[:, 0] < 0)
    index[swap] *= -1
    folded, turned = np.where(swap[:, None], -folded, folded), turned ^ swap
    _, number = np.unique(index, axis=0, return_inverse=True)
    return folded, turned, number.reshape(-1)


def uniform_weights(uv: np.ndarray, weights: np.ndarray, cell: float) -> np.ndarray:
    """Weights `(M,)` whose sum is the same in every occupied cell of side `cell` (wavelengths)."""
    number = cells_of(uv, cell)[2]
    return weights / np.bincount(number, weights)[number]


def briggs_weights(uv: np.ndarray, weights: np.ndarray, cell: float, robust: float) -> np.ndarray:
    """Weights `(M,)` between natural (robust 2) and uniform (robust -2), with cells of side `cell` (wavelengths)."""
    number = cells_of(uv, cell)[2]
    W = np.bincount(number, weights)
    f2 = (5 * 10.0**-robust) ** 2 / (np.sum(W**2) / np.sum(weights))
    return weights / (1 + W[number] * f2)


def average_cells(
    uv: np.ndarray, V: np.ndarray, weights: np.ndarray, cell: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted means of visibilities in cells: uv `(K, 2)`, V `(K,)` and weights `(K,)` of the K occupied cells.

    Each mean is placed at the weighted mean of its baselines, not at the middle of its cell. The error is then of
    second order in (cell x extent of the source): 0.4 per cent at the edge of the field for cells of a tenth of 1 /
    field.
    """
    folded, turned, number = cells_of(uv, cell)
    V = np.where(turned, V.conj(), V)
    W = np.bincount(number, weights)

    def mean(values):
        return np.bincount(number, weights * values) / W

    centre = np.stack((mean(folded[:, 0]), mean(folded[:, 1])), 1)
    return centre, mean(V.real) + 1j * mean(V.imag), W
