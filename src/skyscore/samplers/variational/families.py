r"""The distributions of variational inference: the starting point, and the Gaussian family.

A family is a distribution q of vectors w, in coordinates where the posterior of a white prior is the standard normal,

.. math:: x = m_0 + S_0^{1/2} w

so that all quantities to be learned are of order one. A family turns `inputs` standard normal numbers into one draw,
and returns its entropy :math:`H[q] = - E \log q(w)`. Both are in autograd's graph, whose leaves are the family's
`parameters`. The other family is in :mod:`skyscore.samplers.variational.flows`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skyscore.samplers.base import Sampler

__all__ = ["Gaussian", "WhitePosterior"]


class WhitePosterior:
    """N(m_0, S_0), the posterior for the prior N(centre, P) in every pixel.

    Arguments:
        sampler: provides the data and the prior's mean `centre`.
        variance: P, in squared units of x.
    """

    def __init__(self, sampler: Sampler, variance: float):
        f, P = sampler.data, variance
        self.V, self.std = f.V, math.sqrt(P)
        self.shrink = (1 + P * f.s**2).rsqrt()  # S_0^1/2 = sqrt(P) [1 + V (shrink - 1) V']
        residual = f.d - f.s * (sampler.centre @ f.V)
        self.mean = sampler.centre + (P * f.s * residual / (1 + P * f.s**2)) @ f.V.T
        #: log det S_0^1/2
        self.log_det = 0.5 * sampler.dim * math.log(P) + self.shrink.log().sum()

    def image(self, w: Tensor) -> Tensor:
        """x, given w, both `(B, D)`."""
        return self.mean + self.std * (w + ((self.shrink - 1) * (w @ self.V)) @ self.V.T)


class Gaussian:
    """w = mu + L z with z standard normal; L is triangular, or diagonal plus columns with additional entries of z.

    Arguments:
        D: number of pixels.
        columns: number of columns beside the diagonal; None for a triangle.
        generator: source of the initial columns.
        like: dtype and device.
    """

    def __init__(self, D: int, columns: int | None, generator: torch.Generator, like: dict):
        self.D, self.columns = D, columns
        #: number of standard normal numbers per draw
        self.inputs = D + (columns or 0)
        self.mu = torch.zeros(1, D, **like, requires_grad=True)
        self.log_scale = torch.zeros(D, **like, requires_grad=True)
        rest = torch.zeros(D, D if columns is None else columns, **like)
        if columns:  # columns of zeros would have no gradient
            rest = 0.1 * torch.randn(D, columns, generator=generator, **like) / math.sqrt(D)
        self.rest = rest.requires_grad_()
        self.parameters = [self.mu, self.log_scale] + ([] if columns == 0 else [self.rest])

    def draw(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """w `(n, D)`, given standard normal z `(n, inputs)`, and the exact entropy in nats."""
        own, more = z.split([self.D, self.inputs - self.D], dim=1)
        L, z = (self.rest.tril(-1), own) if self.columns is None else (self.rest, more)
        return self.mu + self.log_scale.exp() * own + z @ L.T, self.entropy()

    def entropy(self) -> Tensor:
        """H[q] in nats."""
        total = 0.5 * self.D * (1 + math.log(2 * math.pi)) + self.log_scale.sum()
        if self.columns:  # log det(S + U U') = log det S + log det(1 + U' S^-1 U)
            U = self.rest * (-self.log_scale).exp()[:, None]
            eye = torch.eye(self.columns, dtype=U.dtype, device=U.device)
            total = total + 0.5 * torch.logdet(eye + U.T @ U)
        return total
