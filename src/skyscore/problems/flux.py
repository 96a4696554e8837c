r"""The flux scale that connects a prior without units to an observation.

The unknown image is :math:`s\,x`, with x in prior units. The scale s maximises the evidence of the data under a
Gaussian with the prior's leading moments and a free amount of texture,

.. math:: s\,x \sim N(s\,m,\ s^2 U^\top \mathrm{diag}(v)\, U + \tau^2 1)

(U: leading principal components, v: their variances). The texture :math:`\tau` is a free parameter because two moments
describe galaxies worst on the smallest scales, and most of the D directions are on those scales. If :math:`\tau` were
tied to s, the texture and not the brightness of the galaxy would set the scale.

In the basis V of singular vectors of the whitened operator the white part is diagonal, and K coefficients remain.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from skyscore.likelihoods.gaussian import Spectrum
from skyscore.statistics.moments import Moments

__all__ = ["FluxScale", "NegativeFlux", "fit_flux_scale", "log_evidence"]


class NegativeFlux(ValueError):
    """The prior's mean image fits the data with negative brightness, so no flux scale can be fitted."""


class FluxScale(NamedTuple):
    """Scale s and its standard error (physical units per prior unit), and texture tau (physical units)."""

    scale: float
    error: float
    texture: float


def log_evidence(
    scale: float, texture: float, spectrum: Spectrum, projected: Tensor, variances: Tensor
) -> float:
    """log p(y | s, tau) up to a constant.

    Arguments:
        spectrum: of the likelihood of the image in physical units.
        projected: V' (m, U'), shape `(modes, 1 + K)`.
        variances: v, shape `(K,)`.
    """
    s2, b = spectrum.s**2, spectrum.s * spectrum.d
    white = 1 + texture**2 * s2
    g = projected.T @ (projected * (s2 / white)[:, None])  # Gram matrix of (m, U) under noise and texture
    h = projected.T @ (b / white)
    root = scale * variances.sqrt()
    M = torch.eye(len(root), dtype=torch.float64) + root[:, None] * g[1:, 1:] * root
    c = root * (h[1:] - scale * g[1:, 0])
    L = torch.linalg.cholesky(M)
    w = torch.linalg.solve_triangular(L, c[:, None], upper=False)[:, 0]
    quadratic = scale**2 * g[0, 0] - 2 * scale * h[0] - w @ w - texture**2 * (b**2 / white).sum()
    return -0.5 * float(white.log().sum() + 2 * L.diag().log().sum() + quadratic)


def fit_flux_scale(spectrum: Spectrum, moments: Moments) -> FluxScale:
    """The scale and texture that maximise the evidence.

    The error of s comes from the curvature at the maximum, with the texture free.

    Arguments:
        spectrum: decomposition of the likelihood of the image in physical units.

    Raises:
        NegativeFlux: if the prior's mean image fits the data with negative brightness.
    """
    m = torch.as_tensor(np.asarray(moments.mean)).double().flatten()
    U = torch.as_tensor(np.asarray(moments.components)).double().flatten(1)
    v = torch.as_tensor(np.asarray(moments.variances)).double()
    projected = spectrum.V.double().T @ torch.cat((m[None], U)).T
    mean = spectrum.s * projected[:, 0]
    guess = float(mean @ spectrum.d) / float(mean @ mean)
    if guess <= 0:
        raise NegativeFlux(
            "the prior's mean image fits the data with negative brightness, so no flux scale can be fitted; "
            "subtract the background and centre the object"
        )

    def cost(p: np.ndarray) -> float:
        return -log_evidence(math.exp(p[0]), math.exp(p[1]), spectrum, projected, v)

    start = np.array([math.log(guess), math.log(guess) + 0.5 * math.log(moments.residual)])
    simplex = start + np.array([[0.0, 0.0], [0.5, 0.0], [0.0, 0.5]])
    best = minimize(
        cost, start, method="Nelder-Mead", options=dict(initial_simplex=simplex, xatol=1e-3, fatol=1e-2)
    )
    h = 0.05
    curvature = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = h * np.eye(2)[i], h * np.eye(2)[j]
            p = best.x
            curvature[i, j] = (cost(p + a + b) - cost(p + a - b) - cost(p - a + b) + cost(p - a - b)) / (
                4 * h**2
            )
    scale = math.exp(best.x[0])
    return FluxScale(
        scale, scale * math.sqrt(max(float(np.linalg.inv(curvature)[0, 0]), 0.0)), math.exp(best.x[1])
    )
