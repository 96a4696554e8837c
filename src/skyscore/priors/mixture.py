r"""The Gaussian mixture prior, a flexible family whose denoiser and posteriors have closed forms.

.. math::
    p(x) = \sum_k w_k N(x; \mu_k, C_k), \qquad
    D(x, \sigma) = \sum_k r_k(x) \, [\mu_k + C_k (C_k + \sigma^2 I)^{-1} (x - \mu_k)], \qquad
    r_k \propto w_k N(x; \mu_k, C_k + \sigma^2 I)

For data with Gaussian noise the posterior is again a mixture, with components :math:`N(m_k, S_k)` and weights
:math:`w_k'`,

.. math::
    S_k = (C_k^{-1} + A^\top \Sigma^{-1} A)^{-1}, \quad
    m_k = \mu_k + C_k A^\top (\Sigma + A C_k A^\top)^{-1} (y - A \mu_k),
    \quad w_k' \propto w_k N(y; A \mu_k, \Sigma + A C_k A^\top)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from skyscore.likelihoods import GaussianLikelihood

__all__ = ["GaussianMixturePrior"]

NEGLIGIBLE = -40.0  # smallest log responsibility of a component: e^-40 = 4e-18 is below float64 rounding


class GaussianMixturePrior:
    """A mixture of K Gaussians in D dimensions.

    Arguments:
        weights: shape `(K,)`, positive; they are normalised to one.
        means: shape `(K, D)`, in the units of x.
        covariances: shape `(K, D, D)`, symmetric, positive semi-definite, in the units of x squared.

    Raises:
        ValueError: if shapes do not fit, a weight is not positive, or a covariance is not positive semi-definite.
    """

    def __init__(self, weights: Tensor, means: Tensor, covariances: Tensor):
        K, D = means.shape
        if weights.shape != (K,) or covariances.shape != (K, D, D):
            raise ValueError(
                f"mixture: weights {tuple(weights.shape)} and covariances {tuple(covariances.shape)} do not fit "
                f"{K} components in {D} dimensions"
            )
        if not bool((weights > 0).all()):
            raise ValueError("mixture: the weights must be positive")
        self.weights, self.means, self.covariances = weights / weights.sum(), means, covariances
        values, vectors = torch.linalg.eigh(covariances.double())
        if bool((values[:, 0] < -1e-6 * values[:, -1]).any()):
            raise ValueError(
                "mixture: a covariance has a negative eigenvalue; it must be positive semi-definite"
            )
        self.values = values.clamp_min(0).to(means)  # (K, D)
        self.vectors = vectors.to(means)  # (K, D, D), eigenvectors in columns

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.means.shape[1],)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the means, in which samplers run."""
        return self.means.dtype

    def log_responsibilities(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """log r_k of shape `(B, K)`, given x of shape `(B, D)`; sigma is a number or has shape `(B,)`."""
        return self._coordinates(x, sigma, slice(None))[0]

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x], shape of x, `(B, D)`; sigma is a number or has shape `(B,)`."""
        k: slice | Tensor = slice(None)
        # with a gradient many products with the Jacobian can follow: keep only components that some x belongs to
        if x.requires_grad:
            with torch.no_grad():
                k = (self.log_responsibilities(x, sigma) > NEGLIGIBLE).any(0).nonzero()[:, 0]
        log_r, z, std = self._coordinates(x, sigma, k)
        r = log_r.exp()
        # sum_k r_k Q_k (values / std) z_k as a single matrix product over components and coordinates
        wiener = (r[..., None] * z * (self.values[k] / std)).flatten(1) @ self.vectors[k].mT.flatten(0, 1)
        found: Tensor = r @ self.means[k] + wiener
        return found

    def jacobian(self, x: Tensor, sigma: float) -> Tensor:
        r"""dD/dx `(B, D, D)`, symmetric: :math:`\sigma^{-2}` times the covariance of x0, given x of shape `(B, D)`.

        .. math:: \sum_k r_k \, C_k (C_k + \sigma^2 I)^{-1} + \sigma^{-2} \sum_k r_k (m_k - D)(m_k - D)^\top
        """
        log_r, z, std = self._coordinates(x, sigma, slice(None))
        r, shrink = log_r.exp(), self.values / (self.values + sigma**2)
        within = (self.vectors * shrink[:, None]) @ self.vectors.mT  # (K, D, D)
        m = self.means + torch.einsum("bke,kde->bkd", z * (self.values / std), self.vectors)
        off = (m - (r[..., None] * m).sum(1, keepdim=True)) / sigma
        found: Tensor = (r @ within.flatten(1)).unflatten(1, within.shape[1:]) + (r[..., None] * off).mT @ off
        return found

    def _coordinates(
        self, x: Tensor, sigma: Tensor | float, k: slice | Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """log r_k `(B, K)`, whitened eigen-coordinates z `(B, K, D)` and standard deviations, of the components k."""
        vectors, means = self.vectors[k], self.means[k]
        sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
        std = (self.values[k] + sigma.reshape(-1, 1, 1) ** 2).sqrt()  # (B or 1, K, D)
        z = (x @ vectors.transpose(0, 1).flatten(1)).reshape(-1, *means.shape)
        z = (z - torch.einsum("kde,kd->ke", vectors, means)) / std
        log_r = self.weights[k].log() - 0.5 * z.square().sum(-1) - std.log().sum(-1)
        return torch.log_softmax(log_r, dim=1), z, std

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n independent draws, shape `(n, D)`."""
        options: dict[str, Any] = {"generator": generator, "device": self.means.device}
        k = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        z = torch.randn(n, self.means.shape[1], dtype=self.means.dtype, **options)
        return self.means[k] + torch.einsum("nde,ne->nd", self.vectors[k], self.values[k].sqrt() * z)

    def components_given(self, likelihood: GaussianLikelihood) -> tuple[Tensor, Tensor, Tensor]:
        """Weights `(K,)`, means `(K, D)` and covariances `(K, D, D)` of the exact posterior, computed in float64."""
        f = likelihood.spectrum()
        W = f.s[:, None] * f.V.T  # whitened operator in its singular coordinates: d = W x + N(0, I)
        means, covariances = self.means.double(), self.covariances.double()
        WC = W @ covariances  # (K, N, D)
        S = torch.eye(len(f.s), dtype=torch.float64, device=W.device) + WC @ W.T
        L = torch.linalg.cholesky(S)
        r = f.d - means @ W.T
        e = torch.linalg.solve_triangular(L, r[..., None], upper=False)
        log_w = (
            self.weights.double().log()
            - 0.5 * e.square().sum((1, 2))
            - L.diagonal(dim1=1, dim2=2).log().sum(1)
        )
        gain = torch.cholesky_solve(WC, L)  # S^-1 W C
        m = means + (gain.mT @ r[..., None])[..., 0]
        C = covariances - WC.mT @ gain
        return torch.softmax(log_w, 0), m, 0.5 * (C + C.mT)

    def posterior(self, likelihood: GaussianLikelihood) -> GaussianMixturePrior:
        """The exact posterior for a Gaussian likelihood, again a mixture; components below weight 1e-12 are dropped."""
        w, m, C = self.components_given(likelihood)
        keep = w > 1e-12
        return GaussianMixturePrior(*(t[keep].to(self.means) for t in (w, m, C)))
