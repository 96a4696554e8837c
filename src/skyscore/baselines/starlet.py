r"""A sparse map: few starlet coefficients, with an l1 penalty, found by FISTA.

.. math:: \hat\alpha = \arg\min_\alpha \tfrac12 \|\Sigma^{-1/2} (y - A \Phi \alpha)\|^2
    + \sum_{j, i} \lambda_{j} |\alpha_{j i}|, \qquad \hat x = \Phi \hat\alpha

:math:`\Phi` sums the scales of the isotropic undecimated wavelet transform (starlet, B3 spline; mirrored edges). Each
threshold is `K` times the standard deviation of a coefficient of the gradient under noise alone; the coarsest scale is
not penalised. The result is the maximum a posteriori image of a Laplace prior and is shrunk accordingly. Undoing the
shrinkage on the coefficients that were found increases the error at these signal-to-noise ratios.

References: Starck, Murtagh & Fadili (2010), "Sparse Image and Signal Processing" (starlet);
Beck & Teboulle (2009), SIAM J. Imaging Sci. 2, 183 (FISTA); Lanusse et al. (2016), arXiv:1603.01599 (GLIMPSE).
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from skyscore.operators.base import LinearOperator

__all__ = ["starlet_map", "starlet_matrices"]

K = 2.0  # threshold in standard deviations of the noise
STEPS = 300  # iterations of FISTA


def smoothing(n: int, scale: int) -> Tensor:
    """The B3 spline with holes of 2^scale, as a matrix `(n, n)`, mirrored at the edges."""
    S = torch.zeros(n, n, dtype=torch.float64)
    for tap, weight in zip(range(-2, 3), (1, 4, 6, 4, 1), strict=True):
        i = torch.arange(n)
        j = (i + tap * 2**scale) % (2 * n)
        j = torch.where(j >= n, 2 * n - 1 - j, j)
        S.index_put_((i, j), torch.full((n,), weight / 16, dtype=torch.float64), accumulate=True)
    return S


def starlet_matrices(shape: tuple[int, ...], scales: int) -> list[tuple[Tensor, Tensor]]:
    """Smoothing matrices (rows `(H, H)`, columns `(W, W)`) to c_0 = x, c_1, ... c_J.

    The coefficients are c_j - c_{j+1} and c_J.
    """
    rows, columns = (torch.eye(n, dtype=torch.float64) for n in shape)
    out = [(rows, columns)]
    for j in range(scales):
        rows, columns = smoothing(shape[0], j) @ rows, smoothing(shape[1], j) @ columns
        out.append((rows, columns))
    return out


def analyse(x: Tensor, levels: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Coefficients `(..., J + 1, H, W)` of images `(..., H, W)`; their sum is the image."""
    c = [R @ x @ C.T for R, C in levels]
    return torch.stack([a - b for a, b in pairwise(c)] + [c[-1]], dim=-3)


def synthesise(alpha: Tensor, levels: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The adjoint of `analyse`: the sum over scales of the wavelets with these coefficients, `(..., H, W)`."""
    c = alpha.clone()
    c[..., 1:, :, :] -= alpha[..., :-1, :, :]  # coefficient of c_j is alpha_j - alpha_{j-1}
    return torch.as_tensor(sum(R.T @ c[..., j, :, :] @ C for j, (R, C) in enumerate(levels)))


def starlet_map(operator: LinearOperator, y: Tensor, noise, scales: int | None = None) -> Tensor:
    """The sparse map `(H, W)` in the units of the operator's images.

    Arguments:
        operator: A, acting on images `(1, H, W)`.
        y: data `(M,)`.
        noise: noise law of the data.
        scales: wavelet scales J; by default as many as fit into the map.
    """
    shape, y = operator.in_shape[1:], y.double()
    scales = scales or max(1, int(math.log2(min(shape))) - 2)
    levels = starlet_matrices(shape, scales)

    def back(r: Tensor) -> Tensor:  # A' Sigma^-1 r
        return operator.adjoint(noise.solve(r))[:, 0]

    def gradient(x: Tensor) -> Tensor:  # gradient of the misfit
        return back(operator(x[None, None]) - y)[0]

    # noise of the gradient with respect to the coefficients: variance of Phi' A' Sigma^-1 n
    drawn = analyse(back(noise.sample(64, torch.Generator().manual_seed(0))), levels)
    penalty = (K * drawn.std(0).mean((1, 2)))[:, None, None].expand(-1, *shape).clone()
    penalty[-1] = 0
    start = torch.ones(shape, dtype=torch.float64) + torch.eye(*shape, dtype=torch.float64)
    norm = largest(lambda x: back(operator(x[None, None]))[0], start)
    norm *= largest(lambda x: synthesise(analyse(x, levels), levels), start)
    return synthesise(fista(gradient, penalty, levels, norm), levels)


def largest(matrix, x: Tensor, iterations: int = 20) -> float:
    """Largest eigenvalue of a positive map of images, by power iteration from x, with a margin of five per cent."""
    for _ in range(iterations):
        x = matrix(x / x.norm())
    return 1.05 * float(x.norm())


def fista(gradient, penalty: Tensor, levels, norm: float, steps: int = STEPS) -> Tensor:
    """Coefficients `(J + 1, H, W)` that minimise misfit + sum of penalty |alpha|.

    Arguments:
        gradient: gradient of the misfit with respect to the image.
        penalty: `(J + 1, H, W)`.
        levels: see :func:`starlet_matrices`.
        norm: Lipschitz constant of the gradient with respect to the coefficients.
    """
    alpha = torch.zeros_like(penalty)
    z, t = alpha, 1.0
    for _ in range(steps):
        step = z - analyse(gradient(synthesise(z, levels)), levels) / norm
        new = step.sign() * (step.abs() - penalty / norm).clamp(min=0)
        t, old = (1 + math.sqrt(1 + 4 * t**2)) / 2, t
        z, alpha = new + (old - 1) / t * (new - alpha), new
    return alpha
