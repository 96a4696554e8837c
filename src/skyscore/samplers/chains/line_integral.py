r"""Differences of a log density, computed from its score.

Along the straight line from x to x',

.. math:: \log p(x') - \log p(x) = \int_0^1 s(x + t v) \cdot v \, dt, \qquad v = x' - x, \quad s = \nabla \log p

so that a Metropolis test needs no density. The integral uses Simpson's rule, on panels of three points that share
their ends. It is of fourth order in the length of a panel and exact for scores that are cubic in x, which includes
Gaussians.

References: Legin et al. (2023), arXiv:2302.03046 and Legin et al. (2024), arXiv:2410.19956 (Metropolis tests with
learned noise scores); Remy et al. (2022), arXiv:2201.05561 (with a learned prior).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["integrate", "line_integral"]

Score = Callable[[Tensor], Tensor]


def line_integral(score: Score, x0: Tensor, x1: Tensor, steps: int = 2) -> Tensor:
    """log p(x1) - log p(x0) for each point of a batch.

    Arguments:
        score: function that returns grad log p at points `(B, *)`, in the shape of its argument.
        x0, x1: end points of the lines, `(B, *)`.
        steps: Simpson panels; the score is evaluated at 2 steps + 1 points of each line.

    Returns:
        Differences, shape `(B,)`.

    Raises:
        ValueError: if steps < 1.
    """
    return integrate(score, x0, x1, score(x0), steps)[0]


def integrate(score: Score, x0: Tensor, x1: Tensor, start: Tensor, steps: int = 2) -> tuple[Tensor, Tensor]:
    """The line integral when the score at x0 is known (`start`): the difference `(B,)` and the score at x1.

    It needs 2 steps evaluations; arguments and errors are those of :func:`line_integral`.
    """
    if steps < 1:
        raise ValueError(f"line_integral: steps must be at least 1, not {steps}")
    v, n = x1 - x0, 2 * steps
    total, s = start, start
    for k in range(1, n + 1):
        s = score(torch.lerp(x0, x1, k / n))
        total = total + (1 if k == n else 4 if k % 2 else 2) * s
    return (total * v).flatten(1).sum(1) / (3 * n), s
