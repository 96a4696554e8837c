r"""Weights, resampling and ancestry of particles, with a warning when the particles collapse.

The effective sample size of n weights is :math:`1 / \sum_i w_i^2` (Kong et al. 1994). Resampling is systematic
(Douc, Cappé & Moulines 2005, arXiv:cs/0507025): its variance is usually lower than that of multinomial draws, but
nothing guarantees it.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

__all__ = ["Population", "effective", "systematic"]


def systematic(log_w: Tensor, generator: torch.Generator, n: int | None = None) -> Tensor:
    """Systematic resampling: indices `(n,)`, in which particle i appears n w_i times, up to rounding.

    Arguments:
        log_w: log weights.
        generator: source of the randomness.
        n: number of indices; by default the number of particles.
    """
    n, w = n or len(log_w), torch.softmax(log_w.double(), 0)
    u = torch.rand(1, generator=generator, device=log_w.device, dtype=torch.float64)
    u = (u + torch.arange(n, device=log_w.device)) / n
    return torch.searchsorted(w.cumsum(0).clamp_max(1), u).clamp_max(len(log_w) - 1)


def effective(log_w: Tensor) -> float:
    """Effective sample size 1 / sum w^2 of normalised weights."""
    return float(1 / torch.softmax(log_w.double(), 0).square().sum())


class Population:
    """Weights and ancestry of n particles, which all start with weight one.

    Arguments:
        n: number of particles.
        threshold: particles are resampled when the effective sample size falls below this share of n.
        generator: source of the randomness of resampling.

    Attributes:
        log_w: log weights since the last resampling, `(n,)`, float64.
        ancestors: index of the first particle that each particle descends from, `(n,)`.
        log_evidence: log of the product of the mean weights at all resamplings. It estimates the log of the
            normalising constant; the estimate of the constant itself is unbiased.
    """

    def __init__(self, n: int, threshold: float, generator: torch.Generator):
        self.n, self.threshold, self.generator = n, threshold, generator
        self.log_w = torch.zeros(n, dtype=torch.float64, device=generator.device)
        self.ancestors = torch.arange(n, device=generator.device)
        self.log_evidence = torch.zeros((), dtype=torch.float64, device=generator.device)
        self.sizes: list[float] = []

    def weigh(self, log_factor: Tensor | float) -> None:
        """Multiplies the weights by exp(log_factor), of shape `(n,)`, or a number."""
        self.log_w = self.log_w + log_factor

    def resample(self) -> Tensor | None:
        """Indices `(n,)` of the resampled particles, or None if no resampling is needed."""
        self.sizes.append(effective(self.log_w))
        return self.pick() if self.sizes[-1] < self.threshold * self.n else None

    def pick(self, wanted: int | None = None) -> Tensor:
        """Draws `n` or `wanted` indices in proportion to the weights, and resets the weights to one."""
        k = systematic(self.log_w, self.generator, wanted)
        self.log_evidence = self.log_evidence + torch.logsumexp(self.log_w, 0) - math.log(self.n)
        self.ancestors, self.log_w = self.ancestors[k], torch.zeros_like(self.log_w[: len(k)])
        return k

    def finish(self, name: str, wanted: int | None = None) -> tuple[Tensor, dict]:
        """Indices of the samples and diagnostics of the run; warns if few ancestors survive.

        Arguments:
            name: name of the sampler, for the warning.
            wanted: number of samples, at most n; n by default.
        """
        size, n = effective(self.log_w), wanted or self.n
        k = self.pick(n)
        unique, lowest = len(self.ancestors.unique()), min(self.sizes, default=size)
        if collapsed := unique < max(2, 0.02 * n):
            warnings.warn(
                f"{name}: particles collapsed, {unique} of {n} ancestors survive (smallest ess {lowest:.1f}), "
                "so that samples are too similar; use more particles or another sampler",
                stacklevel=2,
            )
        return k, {
            "ess": size,
            "min_ess": lowest,
            "collapsed": collapsed,
            "unique_ancestors": unique,
            "unique_samples": len(k.unique()),
            "ancestors": self.ancestors.tolist(),
        }
