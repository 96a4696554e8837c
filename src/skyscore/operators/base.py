r"""Linear forward operators.

.. math:: y = A x, \qquad \langle A x, y \rangle = \langle x, A^\top y \rangle

Every operator has the shape of one image (`in_shape`) and of one data set (`out_shape`), acts on batches, and has an
exact adjoint.
"""

from __future__ import annotations

import math
from typing import Self

import torch
from torch import Tensor

__all__ = ["LinearOperator", "MatrixOperator", "SpectralOperator"]


class LinearOperator:
    """Base class of linear forward models.

    Attributes:
        in_shape: shape of one unknown image, `(C, H, W)` or `(D,)`.
        out_shape: shape of one data set.
    """

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    def __call__(self, x: Tensor) -> Tensor:
        """A x, of shape `(B, *out_shape)`, given x of shape `(B, *in_shape)`."""
        raise NotImplementedError(f"{type(self).__name__} defines no forward map")

    def adjoint(self, y: Tensor) -> Tensor:
        """A' y, of shape `(B, *in_shape)`, given y of shape `(B, *out_shape)`."""
        raise NotImplementedError(f"{type(self).__name__} defines no adjoint")

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Moves all tensors of the operator to a device and a precision; returns the operator itself."""
        for name, value in vars(self).items():
            if isinstance(value, LinearOperator):
                value.to(device, dtype)
            elif isinstance(value, Tensor):
                keep = not (value.is_floating_point() or value.is_complex())
                setattr(self, name, value.to(device) if keep else value.to(device, dtype))
        return self

    def matrix(self, dtype: torch.dtype = torch.float64, chunk: int = 256) -> Tensor:
        """The dense matrix of A, of shape `(M, D)`, computed column by column; for small problems and tests."""
        D, columns = math.prod(self.in_shape), []
        for start in range(0, D, chunk):
            stop = min(start + chunk, D)
            units = torch.zeros(stop - start, D, dtype=dtype)
            units[torch.arange(stop - start), torch.arange(start, stop)] = 1
            columns.append(self(units.reshape(-1, *self.in_shape)).reshape(stop - start, -1))
        return torch.cat(columns).T.contiguous()


class MatrixOperator(LinearOperator):
    """The operator of a dense matrix.

    Arguments:
        A: matrix of shape `(M, D)`.
        in_shape: shape of one image with D pixels; `(D,)` by default.

    Raises:
        ValueError: if A is not a matrix or `in_shape` does not hold D pixels.
    """

    def __init__(self, A: Tensor, in_shape: tuple[int, ...] | None = None):
        if A.ndim != 2:
            raise ValueError(f"MatrixOperator: A must have shape (M, D), not {tuple(A.shape)}")
        self.A = A
        self.in_shape = (A.shape[1],) if in_shape is None else tuple(in_shape)
        self.out_shape = (A.shape[0],)
        if math.prod(self.in_shape) != A.shape[1]:
            raise ValueError(
                f"MatrixOperator: in_shape {self.in_shape} does not fit the {A.shape[1]} columns of A"
            )

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(start_dim=x.ndim - len(self.in_shape)) @ self.A.T.to(x.dtype)

    def adjoint(self, y: Tensor) -> Tensor:
        x: Tensor = (y @ self.A.to(y.dtype)).unflatten(-1, self.in_shape)
        return x

    def matrix(self, dtype: torch.dtype = torch.float64, chunk: int = 256) -> Tensor:
        return self.A.to(dtype)


class SpectralOperator(LinearOperator):
    """The operator diag(s) V' of a decomposition, which stores no matrix besides V.

    Arguments:
        V: right singular vectors, `(D, K)`.
        s: singular values, `(K,)`.
        in_shape: shape of one image with D pixels.
    """

    def __init__(self, V: Tensor, s: Tensor, in_shape: tuple[int, ...]):
        self.V, self.s, self.in_shape, self.out_shape = V, s, tuple(in_shape), (len(s),)

    def __call__(self, x: Tensor) -> Tensor:
        return self.s.to(x.dtype) * (x.flatten(start_dim=x.ndim - len(self.in_shape)) @ self.V.to(x.dtype))

    def adjoint(self, y: Tensor) -> Tensor:
        x: Tensor = ((self.s.to(y.dtype) * y) @ self.V.T.to(y.dtype)).unflatten(-1, self.in_shape)
        return x

    def matrix(self, dtype: torch.dtype = torch.float64, chunk: int = 256) -> Tensor:
        return (self.V * self.s).T.to(dtype)
