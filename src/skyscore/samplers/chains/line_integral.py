r"""Differences of a log density from its score alone.

Along the straight line from x to x',

.. math:: \log p(x') - \log p(x) = \int_0^1 s(x + t v) \cdot v \, dt, \qquad v = x' - x, \quad s = \nabla \log p

so that a Metropolis test needs no density. The integral is Simpson's, over panels of three points that share their
ends: of fourth order in the panel's length, exact for scores that are cubic in x, a Gaussian's among them.

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
        score: grad log p of points `(B, *)`, shape of its argument.
        x0, x1: ends of the lines, `(B, *)`.
        steps: Simpson panels; the score is evaluated at 2 steps + 1 points of each line.

    Returns:
        Differences, shape `(B,)`.

    Raises:
        ValueError: if steps < 1.
    """
    return integrate(score, x0, x1, score(x0), steps)[0]


def integrate(score: Score, x0: Tensor, x1: Tensor, start: Tensor, steps: int = 2) -> tuple[Tensor, Tensor]:
    """The same where the score at x0 is known (`start`), for 2 steps evaluations: difference and score at x1."""
    if steps < 1:
        raise ValueError(f"line_integral: steps must be at least 1, not {steps}")
    v, n = x1 - x0, 2 * steps
    total, s = start, start
    for k in range(1, n + 1):
        s = score(torch.lerp(x0, x1, k / n))
        total = total + (1 if k == n else 4 if k % 2 else 2) * s
    return (total * v).flatten(1).sum(1) / (3 * n), s
