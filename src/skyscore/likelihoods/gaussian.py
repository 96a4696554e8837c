r"""The Gaussian likelihood of a linear forward model.

.. math:: p(y \mid x) = N(y; A x, \Sigma), \qquad
    \nabla_x \log p(y \mid x) = A^\top \Sigma^{-1} (y - A x)

Samplers need functions of the two matrices :math:`A` and :math:`\Sigma` together. All of these functions are
diagonal in the singular vectors of the *whitened* operator :math:`W = \Sigma^{-1/2} A = U \, \mathrm{diag}(s) \,
V^\top`:

.. math::
    A^\top (\Sigma + c A A^\top)^{-1} (y - A x) = V \, \frac{s \, (U^\top \Sigma^{-1/2} y - s V^\top x)}{1 + c s^2}

The decomposition is therefore computed once (:meth:`GaussianLikelihood.spectrum`) and is exact for any noise law.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor

from skyscore.operators.base import LinearOperator, SpectralOperator

__all__ = ["GaussianLikelihood", "NoiseLaw", "Spectrum", "compress", "from_spectrum", "modes"]


ROUNDING = 1e-12  # singular values below this fraction of the largest are rounding errors


@dataclass
class Spectrum:
    """Singular value decomposition of the whitened operator, and the data in its basis.

    Attributes:
        V: right singular vectors, shape `(D, K)`, K = min(M, D); the unobserved directions are their complement.
        s: singular values, shape `(K,)`; s^2 is the squared signal-to-noise ratio of a coefficient of unit variance.
        d: data coefficients U' Sigma^-1/2 y, shape `(K,)`.
    """

    V: Tensor
    s: Tensor
    d: Tensor

    @property
    def back_projected(self) -> Tensor:
        """A' Sigma^-1 y = V s d, shape `(..., D)`; independent of the signs of V."""
        return (self.s * self.d) @ self.V.T

    def to(self, dtype: torch.dtype, device: torch.device | str | None = None) -> Spectrum:
        """A copy in a precision and on a device."""
        return Spectrum(*(t.to(device=device, dtype=dtype) for t in (self.V, self.s, self.d)))


class NoiseLaw(Protocol):
    """A Gaussian noise law of covariance Sigma; :mod:`skyscore.likelihoods.noise` has two."""

    def whiten(self, r: Tensor) -> Tensor:
        """Sigma^-1/2 r, shape of r."""
        ...

    def covariance(self, v: Tensor) -> Tensor:
        """Sigma v, shape of v."""
        ...

    def to(self, device: torch.device | str | None = None) -> Self:
        """Moves the law to a device; returns it."""
        ...


class GaussianLikelihood:
    """Gaussian likelihood of data y = A x + n with noise n of covariance Sigma.

    Arguments:
        operator: forward model A.
        y: data of shape `(*out_shape)`, or `(O, *out_shape)` for a batch of O observations with the same operator.
        std: noise standard deviation, in units of y: a number, a tensor that broadcasts against y, or a noise law
            with `whiten` and `covariance` (:mod:`skyscore.likelihoods.noise`).

    Raises:
        ValueError: if the standard deviation is not positive or y does not fit the operator.
    """

    has_density = True
    #: whether the singular vectors of the whitened operator can be computed
    decomposable = True

    def __init__(self, operator: LinearOperator, y: Tensor, std: float | Tensor | NoiseLaw):
        if tuple(y.shape[-len(operator.out_shape) :]) != tuple(operator.out_shape):
            raise ValueError(
                f"GaussianLikelihood: y of shape {tuple(y.shape)} does not fit A x of shape {operator.out_shape}"
            )
        self.operator, self.y = operator, y
        self.law = None if isinstance(std, int | float | Tensor) else std
        if self.law is None:
            self.std = torch.as_tensor(std, dtype=y.dtype, device=y.device)
            if not bool((self.std > 0).all()):
                raise ValueError(
                    "GaussianLikelihood: the noise standard deviation must be positive everywhere"
                )
        self._spectrum: tuple[Tensor | None, Tensor, Tensor] | None = None  # U (None: identity), s, V

    @property
    def batched(self) -> bool:
        """Whether y holds several observations, `(O, *out_shape)`."""
        return self.y.ndim > len(self.operator.out_shape)

    @property
    def shared(self) -> bool:
        """Whether all observations have the same noise law, so that one decomposition is enough."""
        return self.law is not None or self.std.ndim < self.y.ndim or self.std.shape[0] == 1

    def whiten(self, r: Tensor) -> Tensor:
        """Sigma^-1/2 r, shape of r: residuals with uncorrelated noise of unit variance."""
        return self.law.whiten(r) if self.law is not None else r / self.std.to(r.dtype)

    def covariance(self, v: Tensor) -> Tensor:
        """Sigma v, shape of v."""
        return self.law.covariance(v) if self.law is not None else self.std.to(v.dtype) ** 2 * v

    def residual(self, x: Tensor) -> Tensor:
        """Sigma^-1/2 (y - A x), of shape `(B, *out_shape)`."""
        return self.whiten(self.y - self.operator(x))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(y | x) up to its constant, of shape `(B,)`."""
        return -0.5 * self.residual(x).flatten(1).square().sum(1)

    def score(self, x: Tensor) -> Tensor:
        """grad_x log p(y | x) = A' Sigma^-1 (y - A x), shape of x."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(x).sum(), x)[0]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """A copy on a device and in a precision; the decomposition stays in float64 and is shared with the original."""
        moved = copy.copy(self)
        moved.operator, moved.y = copy.copy(self.operator).to(device, dtype), self.y.to(device, dtype)
        if self.law is None:
            moved.std = self.std.to(device, dtype)
        else:
            moved.law = self.law.to(device)
        if self._spectrum is not None:
            U, s, V = self._spectrum
            moved._spectrum = (U if U is None else U.to(device), s.to(device), V.to(device))
        return moved

    def observation(self, o: int) -> GaussianLikelihood:
        """The likelihood of observation number o of a batch; it shares the decomposition."""
        if not self.batched:
            return self
        one = copy.copy(self)
        one.y = self.y[o]
        if self.law is None and self.std.ndim == self.y.ndim and self.std.shape[0] > 1:
            one.std, one._spectrum = self.std[o], None
        elif self.law is None and self.std.ndim == self.y.ndim:
            one.std = self.std[0]
        return one

    def spectrum(self) -> Spectrum:
        """Decomposition of Sigma^-1/2 A, computed once in float64; see :class:`Spectrum`."""
        if self._spectrum is None:
            A = self.operator.matrix(torch.float64).to(self.y.device)  # (M, D)
            W = self.whiten(A.T.reshape(-1, *self.operator.out_shape)).flatten(1).T
            U, s, Vh = torch.linalg.svd(W, full_matrices=False)
            # set rounding errors to zero, because samplers divide by s where it is positive
            self._spectrum = (U, torch.where(s > ROUNDING * s[:1], s, 0.0), Vh.T.contiguous())
        U, s, V = self._spectrum
        n = len(self.operator.out_shape)
        d = self.whiten(self.y.double()).flatten(start_dim=self.y.ndim - n)
        return Spectrum(V, s, d if U is None else d @ U)


def compress(G: Tensor, b: Tensor, in_shape: tuple[int, ...], rtol: float = 1e-10) -> GaussianLikelihood:
    r"""The smallest Gaussian likelihood with the given normal equations.

    For Gaussian noise the data enter only through :math:`G = A^\top \Sigma^{-1} A` and
    :math:`b = A^\top \Sigma^{-1} y`: all (A, y, Sigma) with the same pair have the same posterior. With
    :math:`G = V \mathrm{diag}(s^2) V^\top` the pair belongs to :math:`\tilde A = \mathrm{diag}(s) V^\top`,
    :math:`\tilde y = \mathrm{diag}(1/s) V^\top b` and unit noise, with at most D data, already decomposed.

    Arguments:
        G: normal matrix of shape `(D, D)`, symmetric.
        b: back-projected data, shape `(D,)`.
        in_shape: shape of one image.
        rtol: directions with s^2 below `rtol` times the largest count as unobserved.

    Raises:
        ValueError: if G does not fit the image.
    """
    s2, V = torch.linalg.eigh(G.double())
    keep = s2 > rtol * s2[-1]
    s, V = s2[keep].sqrt(), V[:, keep].contiguous()
    if V.shape[0] != math.prod(in_shape):
        raise ValueError(
            f"compress: G {tuple(G.shape)} does not fit an image of {math.prod(in_shape)} pixels"
        )
    return from_spectrum(Spectrum(V, s, (V.T @ b.double()) / s), in_shape)


def modes(W: Tensor, rtol: float = 1e-10) -> tuple[Tensor, Tensor]:
    """Right singular vectors `(D, K)` and singular values `(K,)`, in rising order, of a matrix W `(M, D)`.

    They are computed from the smaller Gram matrix in float64; s^2 below `rtol` times the largest are left out.
    """
    W = W.double()
    few = W.shape[0] < W.shape[1]
    s2, V = torch.linalg.eigh(W @ W.T if few else W.T @ W)
    keep = s2 > rtol * s2[-1]
    s, V = s2[keep].sqrt(), V[:, keep]
    return (W.T @ V / s if few else V).contiguous(), s


def from_spectrum(spectrum: Spectrum, in_shape: tuple[int, ...]) -> GaussianLikelihood:
    """The likelihood with this decomposition: K data with unit noise, d = diag(s) V' x + n."""
    likelihood = GaussianLikelihood(SpectralOperator(spectrum.V, spectrum.s, in_shape), spectrum.d, 1.0)
    likelihood._spectrum = (None, spectrum.s, spectrum.V)
    return likelihood
