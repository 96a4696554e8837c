r"""Moment-matching posterior sampling (MMPS).

Replaces the intractable :math:`p(y \mid x_t)` by a Gaussian whose covariance is Tweedie's,

.. math:: p(y \mid x_t) \approx N(y; A D, \Sigma + A V A^\top), \quad D = E[x_0 \mid x_t], \quad
    V = \sigma_t^2 \, \partial D / \partial x_t

and solves for :math:`v` in :math:`(\Sigma + A V A^\top) v = y - A D` by conjugate gradients, preconditioned with the
same matrix for the V of the prior's linear part (:meth:`skyscore.priors.HybridPrior.linear_covariance`), or for a white
V where the prior has none. At large sigma the former is all but the matrix itself; with the latter a few steps leave
the residual larger than it was, and single chains of a learned prior go astray. Exact when the prior is Gaussian. On
multimodal priors each mode is right and the weights of the modes are not: see :mod:`skyscore.samplers.particles.tds`.

Reference: Rozet et al. (2024), "Learning Diffusion Priors from Observations by Expectation Maximization",
arXiv:2405.13712, and its code. Deviations: the preconditioner, and the stop where the Jacobian is no covariance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Guidance

__all__ = ["MMPS", "Preconditioner", "conjugate_gradient", "tweedie_gradient"]

BLOCK = (
    2048  # rows and columns of a preconditioner that are made at once: behind 128 x 128 pixels it has 16,384
)


def waits(x: Tensor) -> bool:
    """Whether to read a number of x holds the host up until a GPU has computed it."""
    return x.device.type != "cpu"


def conjugate_gradient(A, b: Tensor, precondition, steps: int, tolerance: float):
    """Solves A v = b for a batch, shape of b = `(B, N)`; a vector stops when its residual is below tolerance |b|.

    When all have stopped, the products that are left are spared on a processor. A GPU makes them: they change nothing,
    and to ask it after each would leave it idle in between.

    A is 1 plus a covariance, so that p' A p >= p' p. The Jacobian of a learned denoiser need not be a covariance: where
    a direction has less than half of that, its vector stops and keeps what it has. The test p' A p > 0 alone
    lets a step be of any length, and a chain diverge.

    Arguments:
        A: v -> (A v, w) with w any linear function of v that was made on the way, `(B, K)`.

    Returns:
        v and its w, which costs nothing more (0.0 if no step was made).
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
    """Creates the map r -> (1 + W V W')^-1 r, with the covariance V that a simple prior leaves at level sigma.

    Arguments:
        data: singular value decomposition of the whitened operator W.
        linear: (x, sigma) -> V x, of the prior's linear part; None for a white prior.
        white: variance of the white prior, in prior units squared.
    """

    def __init__(self, data, linear=None, white: float = 1.0):
        self.data, self.linear, self.white, self.level = data, linear, white, None

    def __call__(self, r: Tensor, sigma: float) -> Tensor:
        if self.linear is None:
            return r / (1 + sigma**2 * self.white / (self.white + sigma**2) * self.data.s**2)
        if sigma != self.level:  # one decomposition serves all chains and all observations at a level
            self.inverse = None  # what was that of another level is let go
            L = torch.linalg.cholesky_ex(
                self.matrix(sigma)
            ).L  # 1 plus a covariance: nothing to check, nor to wait for
            self.inverse, self.level = torch.cholesky_inverse(L).to(self.data.V), sigma
        return r @ self.inverse

    def matrix(self, sigma: float) -> Tensor:
        """1 + W V W' in float64, `(K, K)`: the lower triangle, which is all that is read of it."""
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
    """v = (1 + W V W')^-1 (d - W D), V = sigma^2 J, and J' W' v, in at most `steps` vector-Jacobian products."""
    V, s, d = data.V, data.s, data.d

    def covariance(v: Tensor) -> tuple[Tensor, Tensor]:
        g = vjp((s * v) @ V.T)
        return v + sigma**2 * s * (g @ V), g

    return conjugate_gradient(covariance, d - s * (D @ V), lambda r: precondition(r, sigma), steps, tolerance)


class MMPS(Guidance):
    """Creates the sampler.

    Arguments:
        cg_steps: conjugate-gradient steps at most, each costing one vector-Jacobian product.
        tolerance: relative residual at which they stop.
        prior_variance: of the white prior behind the preconditioner of a prior without a linear part, in prior units
            squared; measured by default.
    """

    name = "mmps"
    reference = "Rozet et al. (2024), arXiv:2405.13712"
    failure = "wrong weights of modes; steps of conjugate gradients are few where data are sharp"
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
        white = None if linear else self.prior_variance or self.white_variance(sigma_max)
        self.precondition = Preconditioner(self.data, linear, white)

    def start(self, n: int, sigma: float) -> Tensor:
        """Images at the first level, around E[x0 | y] as seen from the prior's mean, `(n, D)`.

        Around the prior's mean instead, samples lean towards it: by a tenth of their deviation if the first level is
        three of the prior's.
        """
        centre = self.posterior_denoise(self.centre.expand(n, -1), sigma)
        return centre + sigma * self.noise(n)

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        D, vjp = self.prior.denoise_vjp(x_t, sigma_t)
        _, g = tweedie_gradient(self.data, D, vjp, sigma_t, self.precondition, self.cg_steps, self.tolerance)
        return D + sigma_t**2 * g
