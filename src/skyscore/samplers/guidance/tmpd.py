r"""Tweedie moment projected diffusion (TMPD): guidance with row sums of the Jacobian.

.. math:: p(y \mid x_t) \approx N(y; A D, \Sigma + A V A^\top), \quad D = E[x_0 \mid x_t], \quad
    V = \sigma_t^2 \, \partial D / \partial x_t, \qquad
    \nabla = J^\top A^\top (\Sigma + A V A^\top)^{-1} (y - A D)

in variance-exploding coordinates x_t = x0 + sigma_t eps (in general V is sigma_t^2 / alpha_t times the Jacobian).
MMPS uses the same moments and solves the linear system by conjugate gradients. TMPD approximates the matrix. With
:math:`W = \Sigma^{-1/2} A`, the option `covariance` selects the approximation:

- "rows", the published fast variant: :math:`W V W^\top` is replaced by the diagonal matrix of its row sums,
  :math:`W V W^\top 1`, for one more vector-Jacobian product. This is right if the matrix is diagonal. If it is not
  diagonal and all of its entries are positive, the row sums are an upper bound, and posteriors are too wide. Row sums
  depend on the signs of the data: for operators of mixed signs (shear, Fourier) they can be negative. They are then
  set to zero, as in DPS, which is wrong but finite.
- "pixels": V itself is replaced by the diagonal matrix of its row sums, :math:`V 1`, in the pixels, where a smooth
  prior has positive correlations. The linear system is then solved in the singular vectors, without the network.
- "full": the matrix itself, one product per datum. Exact for Gaussian priors.

Reference: Boys et al. (2023), "Tweedie Moment Projected Diffusions for Inverse Problems", arXiv:2310.06721,
and its code ("rows"; with A 1 in place of ones, which is the same for operators that preserve constants). Deviations:
data are whitened first, for any noise covariance; negative row sums are set to zero; "pixels".
"""

from __future__ import annotations

import torch
from torch import Tensor

from .base import Guidance
from .mmps import conjugate_gradient

__all__ = ["TMPD"]

COVARIANCES = ("rows", "pixels", "full")


class TMPD(Guidance):
    """The TMPD sampler.

    Arguments:
        covariance: "rows", "pixels" or "full", see the module. They cost 2, 2 and K + 1 vector-Jacobian products per
            evaluation, where K is the number of data (or of pixels, if that is smaller).
        cg_steps: maximum number of conjugate-gradient steps of "pixels"; they cost no evaluation of the network.
        tolerance: relative residual at which these steps stop.

    Raises:
        ValueError: for an unknown covariance.
    """

    name = "tmpd"
    reference = "Boys et al. (2023), arXiv:2310.06721"
    failure = "row sums are not variances: too wide for positive covariances, no guarantee for mixed signs"
    exact_for = 'Gaussian priors (covariance "full"; "rows" only if A V A\' and Sigma are diagonal)'
    needs_vjp = True
    needs_svd = False

    def __init__(self, *, covariance: str = "rows", cg_steps: int = 50, tolerance: float = 1e-6, **options):
        super().__init__(**options)
        if covariance not in COVARIANCES:
            raise ValueError(f"tmpd: covariance must be one of {', '.join(COVARIANCES)}, not {covariance!r}")
        self.covariance, self.cg_steps, self.tolerance = covariance, cg_steps, tolerance

    def __call__(self, prior, likelihood, n: int, generators: list[torch.Generator], progress: bool = False):
        self.whiten, self.operator = likelihood.whiten, likelihood.operator
        white = self.whiten(likelihood.y).reshape(len(generators), -1)
        self.white = white.repeat_interleave(n, dim=0)  # one row for each sample
        return super().__call__(prior, likelihood, n, generators, progress)

    def posterior_denoise(self, x_t: Tensor, sigma_t: float) -> Tensor:
        D, vjp = self.prior.denoise_vjp(x_t, sigma_t)
        solve = {"rows": self.rows, "pixels": self.pixels, "full": self.full}[self.covariance]
        return D + sigma_t**2 * vjp(solve(D, vjp, sigma_t**2))

    # ------------------------------------------------------------------ W' (1 + W V W')^-1 (Sigma^-1/2 y - W D)

    def rows(self, D: Tensor, vjp, variance: float) -> Tensor:
        """The gradient with the row sums of W V W' in place of the matrix, shape of D, `(B, D)`."""
        ones = self.adjoint(torch.ones_like(self.white[:1])).expand_as(D).contiguous()
        sums = variance * self.forward(vjp(ones))
        return self.adjoint((self.white - self.forward(D)) / (1 + sums.clamp_min(0)))

    def pixels(self, D: Tensor, vjp, variance: float) -> Tensor:
        """The gradient with the row sums of V in place of V, shape of D, `(B, D)`."""
        V, s, d = self.data.V, self.data.s, self.data.d
        sums = variance * vjp(torch.ones_like(D)).clamp_min(0)

        def matrix(v: Tensor) -> tuple[Tensor, Tensor]:
            return v + s * ((sums * ((s * v) @ V.T)) @ V), v

        def precondition(r: Tensor) -> Tensor:
            return r / (1 + sums.mean(1, keepdim=True) * s**2)

        v, _ = conjugate_gradient(matrix, d - s * (D @ V), precondition, self.cg_steps, self.tolerance)
        return (s * v) @ V.T

    def full(self, D: Tensor, vjp, variance: float) -> Tensor:
        """The gradient with the matrix itself, computed row by row in the singular vectors, shape of D, `(B, D)`."""
        V, s, d = self.data.V, self.data.s, self.data.d
        rows = [s * (vjp((s[k] * V[:, k]).expand_as(D).contiguous()) @ V) for k in range(len(s))]
        matrix = torch.eye(len(s), **self.like) + variance * torch.stack(rows, dim=1)
        v = torch.linalg.solve(matrix, (d - s * (D @ V))[..., None])[..., 0]
        return (s * v) @ V.T

    # ------------------------------------------------------------------ the whitened operator, in the basis of the data

    def forward(self, x: Tensor) -> Tensor:
        """W x, shape `(B, M)`."""
        return self.whiten(self.operator(x.reshape(-1, *self.prior.shape))).reshape(len(x), -1)

    def adjoint(self, u: Tensor) -> Tensor:
        """W' u, shape `(B, D)`."""
        with torch.enable_grad():
            x = torch.zeros(len(u), self.dim, **self.like).requires_grad_()
            return torch.autograd.grad(self.forward(x), x, u)[0]
