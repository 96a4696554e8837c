r"""Metropolis-adjusted Langevin algorithm (MALA) for many chains in parallel, with a score but no density.

In the coordinates :math:`u = L^{-1} x` of a mass matrix :math:`L L^\top \approx \mathrm{Cov}[x]`, with
:math:`g(u) = L^\top s(L u)`,

.. math:: u' = u + \tfrac h2 g(u) + \sqrt h \, \xi, \qquad
    \log r = \log\frac{p(x')}{p(x)} - \frac{\|u - u' - \frac h2 g(u')\|^2 - \|u' - u - \frac h2 g(u)\|^2}{2 h}

and u' is accepted with probability min(1, r). The first term is a Simpson integral of the score along the step
(:mod:`skyscore.samplers.chains.line_integral`), or the difference of a known log density. During `burn` steps each
chain adapts its h until its acceptance is 0.57. After that h is fixed, and the chain leaves p invariant up to the
error of Simpson's rule.

References: Roberts & Tweedie (1996), Bernoulli 2, 341; Roberts & Rosenthal (1998), J. R. Stat. Soc. B 60, 255
(0.574); Legin et al. (2023), arXiv:2302.03046 (line integrals of a learned noise score).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from .line_integral import integrate

__all__ = ["Chains", "mala"]

ACCEPTANCE = 0.574


@dataclass
class Chains:
    """Result of :func:`mala`.

    Attributes:
        x: every `thin`-th state after burn-in, `(kept, B, D)`.
        acceptance: fraction of accepted proposals after burn-in, `(B,)`.
        step: h of each chain, `(B,)`.
        evaluations: evaluations of the score, per chain.
    """

    x: Tensor
    acceptance: Tensor
    step: Tensor
    evaluations: int


def mala(
    score: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    steps: int,
    burn: int,
    mass: Tensor | None = None,
    step: float | None = None,
    thin: int = 1,
    panels: int = 1,
    log_prob: Callable[[Tensor], Tensor] | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
    desc: str = "mala",
) -> Chains:
    """Runs B chains.

    Arguments:
        score: function that returns grad log p, `(B, D)`, of points `(B, D)`; a step to a score that is not finite,
            or far off, is rejected.
        x: starting points `(B, D)`.
        steps: steps after burn-in.
        burn: burn-in steps, during which the step size adapts.
        mass: L, lower triangular, `(D, D)` or `(B, D, D)`: square root of the covariance of proposals; 1 by default.
        step: initial h; 1.5 D^(-1/3) by default.
        thin: one state in `thin` is kept.
        panels: Simpson panels of the line integral; each costs two evaluations of the score.
        log_prob: function that returns log p, `(B,)`, of points `(B, D)`; it replaces the line integral (one
            evaluation of the score remains).
        generator: source of all randomness; the global generator of torch by default.
        progress: whether to show a progress bar.
        desc: title of the progress bar.

    Returns:
        Chains.

    Raises:
        ValueError: if no step would be kept, or if x does not have shape `(B, D)`.
        FloatingPointError: if the score is not finite at the start.
    """
    if x.ndim != 2 or steps < thin or thin < 1 or burn < 0:
        raise ValueError(
            f"mala: x {tuple(x.shape)} must have shape (B, D), with steps {steps} >= thin {thin} >= 1 "
            f"and burn {burn} >= 0"
        )
    B, D = x.shape
    L = torch.eye(D, dtype=x.dtype, device=x.device) if mass is None else mass.to(x)
    L = L.expand(B, D, D)
    s = score(x)
    value = torch.zeros_like(x[:, 0]) if log_prob is None else log_prob(x)
    if not bool(torch.isfinite(s).all()):
        raise FloatingPointError(
            "mala: the score is not finite at the start of a chain; choose other starting points"
        )
    log_h = torch.full((B,), math.log(step or 1.5 * D ** (-1 / 3)), dtype=x.dtype, device=x.device)
    taken, kept = torch.zeros_like(log_h), []

    def random(draw, *shape: int) -> Tensor:
        return draw(
            *shape, generator=generator, dtype=x.dtype, device=generator.device if generator else None
        ).to(x)

    for k in tqdm(range(burn + steps), desc=desc, disable=not progress):
        h, g = log_h.exp()[:, None], lower_t(L, s)
        forward = random(torch.randn, B, D) * h.sqrt()  # u' - u - h/2 g(u)
        move = 0.5 * h * g + forward
        x_new = x + (L @ move[..., None])[..., 0]
        if log_prob is None:
            change, s_new = integrate(score, x, x_new, s, panels)
        else:
            value_new, s_new = log_prob(x_new), score(x_new)
            change = value_new - value
        backward = move + 0.5 * h * lower_t(L, s_new)  # -(u - u' - h/2 g(u'))
        log_r = change - (backward.square() - forward.square()).sum(1) / (2 * h[:, 0])
        log_r = torch.where(torch.isfinite(log_r), log_r, -math.inf)
        accept = random(torch.rand, B).log() < log_r
        x, s = torch.where(accept[:, None], x_new, x), torch.where(accept[:, None], s_new, s)
        if log_prob is not None:
            value = torch.where(accept, value_new, value)
        if k < burn:
            log_h = log_h + (k + 1) ** -0.5 * (log_r.clamp(max=0).exp() - ACCEPTANCE)
        else:
            taken = taken + accept
            if (k - burn + 1) % thin == 0:
                kept.append(x)
    per_step = 2 * panels if log_prob is None else 1
    return Chains(torch.stack(kept), taken / steps, log_h.exp(), 1 + per_step * (burn + steps))


def lower_t(L: Tensor, v: Tensor) -> Tensor:
    """L' v of a batch, shape of v, `(B, D)`."""
    return (L.mT @ v[..., None])[..., 0]
