r"""The Wiener filter: the posterior mean under a Gaussian prior with the given mean and covariance.

.. math:: \hat x = m + C A^\top (A C A^\top + \Sigma)^{-1} (y - A m)
    = m + C V s \, (1 + s V^\top C V s)^{-1} (d - s V^\top m)

The second form uses the singular vectors of the whitened operator and is exact for any linear operator, mask and noise
law. For stationary fields on maps too large for it, :func:`wiener_map` solves the same equation by conjugate gradients.

Reference: Wiener (1949); Jeffrey et al. (2018), arXiv:1801.08945 (masked convergence maps).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator as SparseOperator
from scipy.sparse.linalg import cg
from torch import Tensor

from skyscore.likelihoods.gaussian import Spectrum
from skyscore.operators.base import LinearOperator
from skyscore.statistics.cosine import cosine_matrix

__all__ = [
    "cosine_covariance",
    "cosine_variances",
    "factors",
    "full_covariance",
    "linear_estimate",
    "wiener",
    "wiener_map",
]


def wiener(spectrum: Spectrum, mean: Tensor, covariance: Tensor) -> Tensor:
    """The filtered image `(D,)`, or `(N, D)` for the data of N observations, on the CPU.

    Arguments:
        spectrum: of the likelihood; its data d have shape `(K,)` or `(N, K)`.
        mean: `(D,)`; covariance: `(D, D)`; in the units of the likelihood's unknown, float64.
    """
    V, s, d = (t.double().cpu() for t in (spectrum.V, spectrum.s, spectrum.d))
    CW, L = factors(V, s, covariance)
    r = (d - s * (mean @ V)).reshape(-1, len(s))
    return mean + (torch.cholesky_solve(r.T, L).T @ CW.T).reshape(*d.shape[:-1], len(V))


def factors(V: Tensor, s: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """C W `(D, K)` and the Cholesky factor of 1 + W' C W `(K, K)`, with W = V s."""
    W = V * s
    CW = covariance @ W
    inner = W.T @ CW
    inner.diagonal().add_(1)
    return CW, torch.linalg.cholesky(inner)


def linear_estimate(V: np.ndarray, s: np.ndarray, d: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """An estimate from the data alone, `(N, D)`: the Wiener filter with independent coefficients along V,

    x = m + V diag(c s / (1 + c s^2)) (d - s V' m), with m the mean and c the variances along V of draws of the prior.

    Arguments:
        V: singular vectors `(D, K)`.
        s: singular values `(K,)`.
        d: data coefficients `(N, K)`.
        draws: draws of the prior `(n, D)` that are not among the truths.
    """
    m = draws.mean(0)
    c = np.var((draws - m) @ V, axis=0)
    return m + (c * s / (1 + c * s**2) * (d - s * (m @ V))) @ V.T


def wiener_map(operator: LinearOperator, y: Tensor, noise, power: Tensor, rtol: float = 1e-8) -> Tensor:
    r"""The filtered map `(H, W)` of a field with mean zero and independent cosine modes.

    With the whitened operator :math:`W = \Sigma^{-1/2} A`: :math:`\hat x = C W^\top (1 + W C W^\top)^{-1}
    \Sigma^{-1/2} y`.

    Arguments:
        operator: in units of the field; its images are `(1, H, W)`.
        y: data `(M,)`.
        noise: noise law of the data, independent between data (`std`).
        power: variances of the modes, `(H, W)`.
        rtol: residual, relative to the data, at which conjugate gradients stop.

    Raises:
        FloatingPointError: if conjugate gradients do not reach `rtol`.
    """
    T, whitened = cosine_matrix(len(power)), noise.whiten(y.double())

    def field(v: Tensor) -> Tensor:  # C W' v
        image = operator.adjoint(noise.whiten(v)[None])[0, 0]
        return T.T @ (power * (T @ image @ T.T)) @ T

    def normal(v: np.ndarray) -> np.ndarray:
        r = torch.from_numpy(v)
        return (r + noise.whiten(operator(field(r)[None, None])[0])).numpy()

    v, failed = cg(SparseOperator((len(y), len(y)), normal, dtype=np.float64), whitened.numpy(), rtol=rtol)
    if failed:
        raise FloatingPointError(f"wiener_map: conjugate gradients did not converge to {rtol:g}; raise rtol")
    return field(torch.from_numpy(v))


def full_covariance(moments) -> Tensor:
    """The covariance `(D, D)` of :class:`skyscore.statistics.moments.Moments`."""
    U, v = torch.as_tensor(moments.components).double(), torch.as_tensor(moments.variances).double()
    return (U.T * (v - moments.residual)) @ U + moments.residual * torch.eye(U.shape[1], dtype=torch.float64)


def cosine_variances(moments, side: int) -> Tensor:
    """Variances `(side, side)` of the cosine modes of a stationary field with these moments.

    A few hundred images determine the variance of each mode well, and single elements of a covariance badly.
    """
    T = cosine_matrix(side)
    U = torch.as_tensor(moments.components).double().reshape(-1, side, side)
    v = torch.as_tensor(moments.variances).double() - moments.residual
    power = moments.residual + torch.einsum("k,kij->ij", v, (T @ U @ T.T) ** 2)
    return (power + power.T) / 2


def cosine_covariance(moments, side: int) -> Tensor:
    """The covariance `(D, D)` of a stationary field: that of the moments, with its cosine modes decorrelated."""
    T, power = cosine_matrix(side), cosine_variances(moments, side)
    units = torch.eye(side**2, dtype=torch.float64).reshape(-1, side, side)
    return (T.T @ (power * (T @ units @ T.T)) @ T).reshape(side**2, side**2)
