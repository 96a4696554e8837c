r"""Curvature-regularised linear inversion, with its strength set by maximum evidence.

The most probable image under Gaussian noise and a Gaussian prior that favours smooth images,

.. math:: \hat s = (G + \lambda R)^{-1} b, \qquad G = A^\top \Sigma^{-1} A, \quad b = A^\top \Sigma^{-1} y, \qquad
    s^\top R s = \sum (\partial_x^2 s)^2 + (\partial_y^2 s)^2

with the strength that maximises the evidence, the integral over all images,

.. math:: \log p(y \mid \lambda) = \tfrac12 \Big[ b^\top (G + \lambda R)^{-1} b - \log\det(1 + R^{-1} G / \lambda)
    - y^\top \Sigma^{-1} y - \log\det(2 \pi \Sigma) \Big]

In the eigenvectors of :math:`L^{-1} G L^{-\top}`, with :math:`R = L L^\top`, all terms that depend on :math:`\lambda`
are sums over pixels, so one decomposition serves all strengths.

References: Warren & Dye (2003), ApJ 590, 673, astro-ph/0302587, eq. 12 (linear inversion); Suyu et al. (2006), MNRAS
371, 983, astro-ph/0601493, eq. 19 (evidence; also the form of the curvature). Deviation: at the border the image is
taken as zero outside the frame on every side, so that R can be inverted; Suyu et al. do this on one side of each axis.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

__all__ = ["Inversion", "curvature", "invert", "log_evidence"]


class Inversion(NamedTuple):
    """Image `(H, W)` in the units of A's input, its strength lambda, and log p(y | lambda) without terms free of
    lambda.
    """

    image: np.ndarray
    strength: float
    log_evidence: float


def curvature(shape: tuple[int, int]) -> Tensor:
    """R of shape `(H W, H W)`: squared second differences along both axes of an image, zero outside the frame."""

    def along(n: int) -> Tensor:
        C = torch.zeros(n, n, dtype=torch.float64)
        C.diagonal().fill_(-2.0)
        C.diagonal(1).fill_(1.0)
        C.diagonal(-1).fill_(1.0)
        return C.T @ C

    height, width = (torch.eye(n, dtype=torch.float64) for n in shape)
    return torch.kron(along(shape[0]), width) + torch.kron(height, along(shape[1]))


def log_evidence(strength: float, gain: Tensor, data: Tensor) -> float:
    """log p(y | lambda) without the two terms that do not depend on lambda.

    Arguments:
        gain: eigenvalues of L^-1 G L^-T, shape `(D,)`.
        data: L^-1 b in their eigenvectors, shape `(D,)`.
    """
    return 0.5 * float((data**2 / (gain + strength)).sum() - torch.log1p(gain / strength).sum())


def invert(G: Tensor, b: Tensor, shape: tuple[int, int]) -> Inversion:
    """The regularised image at the strength of maximum evidence.

    Arguments:
        G: A' Sigma^-1 A, shape `(D, D)`.
        b: A' Sigma^-1 y, shape `(D,)`.
        shape: `(H, W)` of the image, D = H W.

    Raises:
        ValueError: if the shapes do not fit.
    """
    D = math.prod(shape)
    if G.shape != (D, D) or b.shape != (D,):
        raise ValueError(
            f"invert: G {tuple(G.shape)}, b {tuple(b.shape)} do not fit an image of {shape}; give D = H W"
        )
    L = torch.linalg.cholesky(curvature(shape))
    half = torch.linalg.solve_triangular(L, G.double(), upper=False)
    gain, Q = torch.linalg.eigh(torch.linalg.solve_triangular(L, half.T.contiguous(), upper=False))
    gain = gain.clamp_min(0)
    data = Q.T @ torch.linalg.solve_triangular(L, b.double()[:, None], upper=False)[:, 0]
    # outside this range of strengths the data determine nothing, or everything
    span = math.log(1e-8 * float(gain[-1])), math.log(1e2 * float(gain[-1]))
    grid = np.linspace(*span, 60)
    values = [log_evidence(math.exp(t), gain, data) for t in grid]
    k = int(np.argmax(values))
    bounds = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    best = minimize_scalar(
        lambda t: -log_evidence(math.exp(t), gain, data),
        bounds=bounds,
        method="bounded",
        options={"xatol": 1e-6},
    )
    strength = math.exp(best.x)
    image = torch.linalg.solve_triangular(L.T, (Q @ (data / (gain + strength)))[:, None], upper=True)
    return Inversion(image.reshape(shape).numpy(), strength, -float(best.fun))
