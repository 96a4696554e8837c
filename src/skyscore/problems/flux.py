r"""The flux scale that joins a prior without units to an observation.

The unknown image is :math:`s\,x`, with x in prior units. s maximises the evidence of the data under a Gaussian with
the prior's first two moments, :math:`x \sim N(m, P)`. With :math:`G = A^\top \Sigma^{-1} A`,
:math:`b = A^\top \Sigma^{-1} y` and :math:`M = P^{1/2} G P^{1/2}`,

.. math:: -2 \log p(y \mid s) = \log\det(1 + s^2 M) - 2 s\, m^\top b + s^2 m^\top G m
    - c^\top (1 + s^2 M)^{-1} c + \mathrm{const}, \qquad c = s P^{1/2} (b - s G m)

P is low rank plus isotropic: :math:`P = U^\top \mathrm{diag}(v) U + r (1 - U^\top U)`, with orthonormal rows U.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor

__all__ = ["Moments", "fit_flux_scale", "log_evidence", "moments_of"]


class Moments(NamedTuple):
    """First two moments of a prior.

    Attributes:
        mean: m, shape `(D,)`.
        components: U, orthonormal rows, shape `(K, D)`.
        variances: v, of the coefficients along U, shape `(K,)`.
        residual: r, variance along every other direction.
    """

    mean: np.ndarray
    components: np.ndarray
    variances: np.ndarray
    residual: float

    def root(self, x: Tensor) -> Tensor:
        """P^1/2 x along the last axis."""
        U, v = torch.as_tensor(self.components).double(), torch.as_tensor(self.variances).double()
        r = math.sqrt(self.residual)
        return r * x + (x @ U.T * (v.sqrt() - r)) @ U


def moments_of(images: np.ndarray, rank: int = 256) -> Moments:
    """Moments of images `(n, ...)`: the `rank` leading principal components (at most half of n) and the mean rest."""
    flat = torch.as_tensor(np.asarray(images)).double().flatten(1)
    mean, n = flat.mean(0), len(flat)
    rank = max(1, min(rank, n // 2, flat.shape[1] - 1))
    _, s, Vh = torch.linalg.svd(flat - mean, full_matrices=False)
    v = s**2 / (n - 1)
    rest = max(float(v[rank:].sum()) / (flat.shape[1] - rank), 1e-6 * float(v[0]))
    return Moments(mean.numpy(), Vh[:rank].numpy(), v[:rank].numpy(), rest)


def log_evidence(scale: float, G: Tensor, b: Tensor, moments: Moments, M: Tensor | None = None) -> float:
    """log p(y | s) up to a constant that does not depend on s."""
    m = torch.as_tensor(moments.mean).double()
    M = moments.root(moments.root(G).T) if M is None else M
    L = torch.linalg.cholesky(torch.eye(len(M), dtype=torch.float64) + scale**2 * M)
    c = scale * moments.root(b - scale * (G @ m))
    w = torch.linalg.solve_triangular(L, c[:, None], upper=False)[:, 0]
    quadratic = scale**2 * float(m @ G @ m) - 2 * scale * float(m @ b) - float(w @ w)
    return -0.5 * (2 * float(L.diag().log().sum()) + quadratic)


def fit_flux_scale(G: Tensor, b: Tensor, moments: Moments) -> tuple[float, float]:
    """The scale s that maximises the evidence, and its standard error from the curvature in log s.

    Raises:
        ValueError: if the data prefer a scale at the border of the range searched, a factor 30 around least squares.
    """
    m = torch.as_tensor(moments.mean).double()
    guess = math.log(max(float(m @ b), 1e-30) / float(m @ G @ m))
    M, low, high = moments.root(moments.root(G).T), guess - math.log(30), guess + math.log(30)

    def cost(t: float) -> float:
        return -log_evidence(math.exp(t), G, b, moments, M)

    best = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-3})
    if not low + 0.01 < best.x < high - 0.01:
        raise ValueError("the data do not determine a flux scale: the evidence rises to the border of the search")
    h = 0.05
    curvature = (cost(best.x + h) - 2 * best.fun + cost(best.x - h)) / h**2
    return math.exp(best.x), math.exp(best.x) / math.sqrt(max(curvature, 1e-12))
