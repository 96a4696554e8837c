r"""Composition and masking of linear operators.

.. math:: A = A_n \cdots A_2 A_1, \qquad A^\top = A_1^\top A_2^\top \cdots A_n^\top
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor

from .base import LinearOperator

__all__ = ["Composition", "Mask"]


class Composition(LinearOperator):
    """The operator that applies `operators` from left to right.

    Raises:
        ValueError: if the shapes of neighbouring operators do not fit.
    """

    def __init__(self, *operators: LinearOperator):
        for first, then in pairwise(operators):
            if tuple(first.out_shape) != tuple(then.in_shape):
                names = f"{type(first).__name__} -> {type(then).__name__}"
                raise ValueError(f"Composition: {names}: {first.out_shape} does not fit {then.in_shape}")
        self.operators = operators
        self.in_shape, self.out_shape = operators[0].in_shape, operators[-1].out_shape

    def __call__(self, x: Tensor) -> Tensor:
        for operator in self.operators:
            x = operator(x)
        return x

    def adjoint(self, y: Tensor) -> Tensor:
        for operator in reversed(self.operators):
            y = operator.adjoint(y)
        return y

    def matrix(
        self, dtype: torch.dtype = torch.float64, chunk: int = 128, out: Tensor | None = None
    ) -> Tensor:
        """The dense matrix, shape `(M, D)`, written in place (into `out`, if given), without a second copy."""
        D = math.prod(self.in_shape)
        A = torch.empty(math.prod(self.out_shape), D, dtype=dtype) if out is None else out
        for start in range(0, D, chunk):
            units = torch.zeros(min(chunk, D - start), D, dtype=A.dtype)
            units[range(len(units)), range(start, start + len(units))] = 1
            A[:, start : start + chunk] = self(units.reshape(-1, *self.in_shape)).flatten(1).T
        return A

    def to(self, device=None, dtype=None) -> Composition:
        for operator in self.operators:
            operator.to(device, dtype)
        return self


class Mask(LinearOperator):
    """The operator that keeps the unmasked pixels of a one-channel image, in row-major order.

    Arguments:
        keep: boolean image of shape `(H, W)`, True for data pixels.

    Shapes: `(B, 1, H, W)` to `(B, M)` with M unmasked pixels.
    """

    def __init__(self, keep: Tensor):
        self.index = keep.flatten().nonzero()[:, 0]
        self.in_shape, self.out_shape = (1, *keep.shape), (len(self.index),)

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, self.index]

    def adjoint(self, y: Tensor) -> Tensor:
        x = torch.zeros(y.shape[0], self.in_shape[1] * self.in_shape[2], dtype=y.dtype, device=y.device)
        return x.index_copy(1, self.index, y).unflatten(1, self.in_shape)
