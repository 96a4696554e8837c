r"""What samplers with particles share: weights, resampling, ancestry, and a loud word when the particles collapse.

The effective sample size of n weights is :math:`1 / \sum_i w_i^2` (Kong et al. 1994); resampling is systematic
(Douc, Cappé & Moulines 2005, arXiv:cs/0507025): usually of lower variance than multinomial draws, though nothing
guarantees it.
"""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor

__all__ = ["Population", "effective", "systematic"]


def systematic(log_w: Tensor, generator: torch.Generator, n: int | None = None) -> Tensor:
    """Systematic resampling: indices of shape `(n,)`, each particle i kept n w_i times, up to rounding.

    Arguments:
        n: indices wanted; as many as there are particles by default.
    """
    n, w = n or len(log_w), torch.softmax(log_w.double(), 0)
    u = torch.rand(1, generator=generator, device=log_w.device, dtype=torch.float64)
    u = (u + torch.arange(n, device=log_w.device)) / n
    return torch.searchsorted(w.cumsum(0).clamp_max(1), u).clamp_max(len(log_w) - 1)


def effective(log_w: Tensor) -> float:
    """Effective sample size 1 / sum w^2."""
    return float(1 / torch.softmax(log_w.double(), 0).square().sum())


class Population:
    """Weights and ancestry of n particles, all of weight one at first.

    Arguments:
        n: particles.
        threshold: they are resampled when the effective sample size falls below this share of n.
        generator: source of the randomness of resampling.

    Attributes:
        log_w: log weights since the last resampling, `(n,)`, float64.
        ancestors: which of the first particles each one descends from, `(n,)`.
        log_evidence: log of the mean weight, multiplied up over all resamplings: an estimate of the log of the
            normalising constant, unbiased for the constant itself.
    """

    def __init__(self, n: int, threshold: float, generator: torch.Generator):
        self.n, self.threshold, self.generator = n, threshold, generator
        self.log_w = torch.zeros(n, dtype=torch.float64, device=generator.device)
        self.ancestors = torch.arange(n, device=generator.device)
        self.log_evidence = torch.zeros((), dtype=torch.float64, device=generator.device)
        self.sizes: list[float] = []

    def weigh(self, log_factor: Tensor | float) -> None:
        """Multiplies the weights; log_factor of shape `(n,)`, or a number."""
        self.log_w = self.log_w + log_factor

    def resample(self) -> Tensor | None:
        """Indices `(n,)` of the particles that go on, or None where all of them do."""
        self.sizes.append(effective(self.log_w))
        return self.pick() if self.sizes[-1] < self.threshold * self.n else None

    def pick(self, wanted: int | None = None) -> Tensor:
        """Indices `(n,)`, or as many as wanted, drawn in proportion to the weights, which are one again."""
        k = systematic(self.log_w, self.generator, wanted)
        self.log_evidence = self.log_evidence + torch.logsumexp(self.log_w, 0) - math.log(self.n)
        self.ancestors, self.log_w = self.ancestors[k], torch.zeros_like(self.log_w[: len(k)])
        return k

    def finish(self, name: str, wanted: int | None = None) -> tuple[Tensor, dict]:
        """Indices of the samples and the diagnostics of the run; warns where hardly an ancestor is left.

        Arguments:
            wanted: samples, at most n; n by default.
        """
        size, n = effective(self.log_w), wanted or self.n
        k = self.pick(n)
        unique, lowest = len(self.ancestors.unique()), min(self.sizes, default=size)
        if collapsed := unique < max(2, 0.02 * n):
            warnings.warn(
                f"{name}: particles collapsed, {unique} of {n} ancestors are left (smallest ess {lowest:.1f}); "
                "samples share their history and are too alike: use more particles or another sampler",
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
