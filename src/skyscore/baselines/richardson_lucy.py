r"""Richardson-Lucy deconvolution: the maximum-likelihood iteration for counts, stopped when the data are fitted.

.. math:: x \leftarrow \frac{x}{A^\top 1} \, A^\top \frac{y}{A x}

It keeps x positive and fits large scales first and noise last. It is therefore stopped early, at the iteration where
the residuals have the variance of the noise (the discrepancy principle).

References: Richardson (1972), JOSA 62, 55; Lucy (1974), AJ 79, 745.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skyscore.operators.base import LinearOperator

__all__ = ["richardson_lucy"]


def richardson_lucy(
    operator: LinearOperator, y: Tensor, std: float, iterations: int = 200
) -> tuple[Tensor, int]:
    """The image `(1, *in_shape)` and the number of iterations made, at most `iterations`.

    Arguments:
        operator: A with non-negative entries.
        y: data `(1, *out_shape)`; negative values are set to zero.
        std: standard deviation of the noise; the iteration stops when the residuals reach it.
    """
    y = y.double()
    counts, sensitivity = y.clamp(min=0), operator.adjoint(torch.ones_like(y)).clamp(min=1e-12)
    x = (operator.adjoint(counts) / sensitivity).clamp(min=1e-6 * float(counts.mean()))
    for made in range(iterations):
        model = operator(x)
        if float((y - model).square().mean()) <= std**2:
            return x, made
        x = x / sensitivity * operator.adjoint(counts / model.clamp(min=1e-12))
    return x, iterations
