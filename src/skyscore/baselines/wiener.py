r"""The Wiener filter: the posterior mean under a Gaussian prior with the given mean and covariance.

.. math:: \hat x = m + C A^\top (A C A^\top + \Sigma)^{-1} (y - A m)
    = m + C V s \, (1 + s V^\top C V s)^{-1} (d - s V^\top m)

in the singular vectors of the whitened operator: exact for any linear operator, mask and noise law.

Reference: Wiener (1949); Jeffrey et al. (2018), arXiv:1801.08945 (masked convergence maps).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..likelihoods.gaussian import Spectrum
from ..priors.hybrid import cosine_matrix

__all__ = ["cosine_covariance", "full_covariance", "wiener"]


def wiener(spectrum: Spectrum, mean: Tensor, covariance: Tensor) -> Tensor:
    """The filtered image `(D,)`, or `(N, D)` for the data of N observations.

    Arguments:
        spectrum: of the likelihood; its data d of shape `(K,)` or `(N, K)`.
        mean: `(D,)`; covariance: `(D, D)`; in the units of the likelihood's unknown, float64.
    """
    V, s, d = (t.double().cpu() for t in (spectrum.V, spectrum.s, spectrum.d))
    W = V * s  # (D, K)
    CW = covariance @ W
    inner = torch.eye(len(s), dtype=torch.float64) + W.T @ CW
    return mean + torch.linalg.solve(inner, (d - mean @ W)[..., None])[..., 0] @ CW.T


def full_covariance(moments) -> Tensor:
    """The covariance `(D, D)` of :class:`skyscore.problems.flux.Moments`."""
    U, v = torch.as_tensor(moments.components).double(), torch.as_tensor(moments.variances).double()
    return (U.T * (v - moments.residual)) @ U + moments.residual * torch.eye(U.shape[1], dtype=torch.float64)


def cosine_covariance(moments, side: int) -> Tensor:
    """The covariance of a stationary field, `(D, D)`: that of the moments with its cosine modes decorrelated.

    A few hundred images say little of each element, and much of the variance of each mode; the mean is taken as zero.
    """
    T = cosine_matrix(side)
    U = torch.as_tensor(moments.components).double().reshape(-1, side, side)
    v = torch.as_tensor(moments.variances).double() - moments.residual
    power = moments.residual + torch.einsum("k,kij->ij", v, (T @ U @ T.T) ** 2)
    power = (power + power.T) / 2
    TT = torch.kron(T, T)
    return (TT.T * power.flatten()) @ TT
