r"""Moment-matching posterior sampling (MMPS).

The intractable :math:`p(y \mid x_t)` is replaced by a Gaussian with Tweedie's covariance,

.. math:: p(y \mid x_t) \approx N(y; A D, \Sigma + A V A^\top), \quad D = E[x_0 \mid x_t], \quad
    V = \sigma_t^2 \, \partial D / \partial x_t

Conjugate gradients solve :math:`(\Sigma + A V A^\top) v = y - A D` for :math:`v`. The preconditioner is the same
matrix with the V of the prior's linear part (:meth:`skyscore.priors.HybridPrior.linear_covariance`), or with a white
V if the prior has no linear part. At large sigma the former is almost the matrix itself. With the latter, a few steps
can leave a residual larger than the initial one, and single chains of a learned prior diverge.

MMPS is exact for Gaussian priors. On multimodal priors each mode is right but the weights of the modes are not: see
:mod:`skyscore.samplers.particles.tds`.

Reference: Rozet et al. (2024), "Learning Diffusion Priors from Observations by Expectation Maximization",
arXiv:2405.13712, and its code. Deviations: the preconditioner, and the stop where the Jacobian is not a covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from skyscore.likelihoods import Spectrum

from .base import Guidance

__all__ = ["MMPS", "Preconditioner", "conjugate_gradient", "tweedie_gradient"]

BLOCK = 2048  # rows and columns of a preconditioner computed at once; it has 16,384 for 128 x 128 pixels


def waits(x: Tensor) -> bool:
    """Whether reading a value of x makes the host wait for a GPU."""
    return x.device.type != "cpu"


def conjugate_gradient(A, b: Tensor, precondition, steps: int, tolerance: float):
    """Solves A v = b for a batch, shape of b = `(B, N)`; a vector stops when its residual is below tolerance |b|.

    On a CPU the loop ends as soon as all vectors have stopped. A GPU computes the remaining products, which change
    nothing: checking after each step would need a host-device synchronisation.

    A is 1 plus a covariance, so that p' A p >= p' p. The Jacobian of a learned denoiser is not always a covariance: a
    vector stops and keeps its value where p' A p is less than half of p' p. The test p' A p > 0 alone allows steps
    of any length, with which a chain can diverge.

    Arguments:
        A: function v -> (A v, w), where w is any linear function of v computed on the way, `(B, K)`.
        b: right-hand sides, `(B, N)`.
        precondition: function r -> approximate A^-1 r.
        steps: maximum number of steps.
        tolerance: relative residual at which a vector stops.

    Returns:
        The solution v `(B, N)` and its w `(B, K)`, which costs nothing extra (0.0 if no step was made).
    """
    v, w, r = torch.zeros_like(b), 0.0, b
    z = precondition(r)
    p, rz = z, (r * z).sum(1, keepdim=True)
    goal = tolerance * b.norm(dim=1, keepdim=True)
    live = torch.ones_like(rz, dtype=torch.bool)
    for _ in range(steps):
        Ap, wp = A(p)
        curvature = (p * Ap).sum(1, keepdim=True)
        live = (
            live & (curvature > 0.5 * p.square().sum(1, keepdim=True)) & (r.norm(dim=1, keepdim=True) > goal)
        )
        if not (waits(b) or bool(live.any())):
            break
        alpha = torch.where(live, rz / torch.where(live, curvature, 1), 0)
        v, w, r = v + alpha * p, w + alpha * wp, r - alpha * Ap
        z = precondition(r)
        rz, old = (r * z).sum(1, keepdim=True), rz
        p = z + torch.where(live, rz / torch.where(live, old, 1), 0) * p
    return v, w


class Preconditioner:
    """The map r -> (1 + W V W')^-1 r, where V is the posterior covariance that a simple prior has at level sigma.

    Arguments:
        data: singular value decomposition of the whitened operator W.
        linear: function (x, sigma) -> V x of the prior's linear part; None for a white prior.
        white: variance of the white prior, in prior units squared.
    """

    inverse: Any  # (1 + W V W')^-1 of one level

    def __init__(
        self, data: Spectrum, linear: Callable[[Tensor, float], Tensor] | None = None, white: float = 1.0
    ):
        self.data, self.white = data, white
        self.linear: Any = linear
        self.level: float | None = None

    def __call__(self, r: Tensor, sigma: float) -> Tensor:
        if self.linear is None:
            return r / (1 + sigma**2 * self.white / (self.white + sigma**2) * self.data.s**2)
        if sigma != self.level:  # one decomposition serves all chains and all observations at a level
            self.inverse = None  # frees the matrix of the previous level
            # 1 plus a covariance is positive definite: no check, which would synchronise with the GPU
            L = torch.linalg.cholesky_ex(self.matrix(sigma)).L
            self.inverse, self.level = torch.cholesky_inverse(L).to(self.data.V), sigma
        return r @ self.inverse

    def matrix(self, sigma: float) -> Tensor:
        """1 + W V W' in float64, `(K, K)`: only its lower triangle, as the Cholesky factorisation reads no more."""
        U, s = self.data.V, self.data.s  # W = diag(s) U'
        matrix = torch.zeros(len(s), len(s), dtype=torch.float64, device=U.device)
        blocks = [slice(first, min(first + BLOCK, len(s))) for first in range(0, len(s), BLOCK)]
        for row, i in enumerate(blocks):
            VW = self.linear((U[:, i] * s[i]).T.contiguous(), sigma).double()  # (rows, D)
            for j in blocks[: row + 1]:
                matrix[i, j] = VW @ U[:, j].double() * s[j]
        matrix.diagonal().add_(1)
        return matrix


def tweedie_gradient(data, D: Tensor, vjp, sigma: float, precondition, steps: int, tolerance: float):
    """v = (1 + W V W')^-1 (d - W D) with V = sigma^2 J, and J' W' v; at most `steps` vector-Jacobian products."""
    V, s, d = data.V, data.s, data.d

    def covariance(v: Tensor) -> tuple[Tensor, Tensor]:
        g = vjp((s * v) @ V.T)
        return v + sigma**2 * s * (g @ V), g

    return conjugate_gradient(covariance, d - s * (D @ V), lambda r: precondition(r, sigma), steps, tolerance)


class MMPS(Guidance):
    """The MMPS sampler.

    Arguments:
        cg_steps: maximum number of conjugate-gradient steps; each costs one vector-Jacobian product.
        tolerance: relative residual at which they stop.
        prior_variance: variance of the white prior in the preconditioner, in prior units squared, for a prior
            without a linear part; measured by default.
    """

    name = "mmps"
    reference = "Rozet et al. (2024), arXiv:2405.13712"
    failure = "wrong weights of modes; too few conjugate-gradient steps where the data have high S/N"
    needs_svd = False
    needs_vjp = True
    exact_for = "Gaussian priors"
    besides = 2

    def __init__(
        self, *, cg_steps: int = 5, tolerance: float = 1e-3, prior_variance: float | None = None, **options
    ):
        super().__init__(**options)
        self.cg_steps, self.tolerance, self.prior_variance = cg_steps, tolerance, prior_variance

    def prepare(self, sigma_max: float) -> None:
        linear = self.prior.linear_covariance
        white = 1.0 if linear else self.prior_variance or self.white_variance(sigma_max)
        self.precondition = Preconditioner(self.data, linear, white)

    def start(self, n: int, sigma: float) -> Tensor:
        """Images at the first level, `(n, D)`, centred on E[x0 | y] as estimated at the prior's mean.

        Centred on the prior's mean, samples would be biased towards it: by a tenth of their standard deviation if
        the first level is three times that of the prior.
        """
        centre = self.posterior_denoise(self.centre.expand(n, -1), sigma)
        return centre + sigma * self.noise(n)

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        D, vjp = self.prior.denoise_vjp(x_t, sigma_t)
        _, g = tweedie_gradient(self.data, D, vjp, sigma_t, self.precondition, self.cg_steps, self.tolerance)
        return D + sigma_t**2 * g
