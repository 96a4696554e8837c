r"""Filtering posterior sampling (FPS and FPS-SMC).

First a sequence of noisy data is drawn, from the first level to the last,

.. math:: y_r = y + \sqrt{1 - \eta} \, \frac rs (y_s - y) + \sqrt \eta \, r \, A \epsilon

as if :math:`x_r` were measured by :math:`y_r = A x_r + N(0, \Sigma)`. The prior's step from s to r, with the same
share :math:`\eta` of fresh noise, is drawn given that datum,

.. math::
    x_r \mid x_s, y_r \propto N(x_r; m, q) \, N(y_r; A x_r, \Sigma), \quad
    m = D + \sqrt{1 - \eta} \, \frac rs (x_s - D), \quad q = \eta r^2

In FPS each sample runs by itself, on a sequence of its own. In FPS-SMC all samples are particles on one sequence,
weighted with :math:`p(y_r \mid x_s) = N(y_r; A m, \Sigma + q A A^\top)`. Here this is done along the singular vectors
of the whitened operator, so that any noise covariance is possible. No derivative of the network is needed.

For a Gaussian prior the method samples (tested) the posterior of x0 given *all* :math:`y_r`, with noise that is
independent from level to level. But :math:`y_r - A x_r` is the same noise at every level, so that the data are
counted once per level. For noiseless data, :math:`\Sigma \to 0`, nothing is counted twice, and FPS-SMC is the
replacement method with particles, exact in the limits of :mod:`skyscore.samplers.particles.smcdiff`.

Known failure: with noisy data the posterior is too narrow and fits the noise, more so with more levels (with
particles). Plain FPS has its own bias (tested), and nothing corrects the weights of its modes. With fixed
:math:`\eta` the steps add more noise than the reverse SDE; with many steps x0 given x_s is then replaced by its mean
again and again, and samples are too narrow.

Reference: Dou & Song (2024), "Diffusion Posterior Sampling for Linear Inverse Problem Solving: A Filtering
Perspective", ICLR, algorithms FPS and FPS-SMC; their code for :math:`\eta` (there `c_rate`). Deviations:
variance-exploding coordinates; :math:`\eta = 1 - r^2/s^2` by default, that of the reverse SDE; systematic resampling
when the effective sample size is low (theirs: multinomial, at every level: `ess_threshold=1`).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from .filters import ParticleFilter

__all__ = ["FPSSMC"]


class FPSSMC(ParticleFilter):
    """The FPS and FPS-SMC sampler.

    Arguments:
        particles: whether the samples are particles of one population (FPS-SMC) or run independently (FPS).
        eta: share of fresh noise in a step, above 0 and at most 1; by default that of the reverse SDE.

    Raises:
        ValueError: if eta is outside its range.
    """

    name = "fpssmc"
    reference = "Dou & Song (2024), ICLR"
    failure = "counts the data once per level: too narrow where they are noisy"
    exact_for = "noiseless data, in the limit of many particles and steps"

    def __init__(self, *, particles: bool = True, eta: float | None = None, **options):
        super().__init__(**options)
        if eta is not None and not 0 < eta <= 1:
            raise ValueError(f"fpssmc: eta must be above 0 and at most 1, not {eta}")
        self.interacting, self.eta = particles, eta

    def fresh(self, s: float, r: float) -> float:
        """eta, the share of fresh noise in the step from s to r."""
        return 1 - (r / s) ** 2 if self.eta is None else self.eta

    def prepare_data(self, sigmas: list[float], n: int) -> None:
        """Draws the sequence of data, {level: `(rows, K)`}, with one row per population, or per sample in FPS."""
        rows = 1 if self.interacting else n

        def eps() -> Tensor:
            return torch.randn(rows, len(self.y), generator=self.generators[0], **self.like)

        self.sequence = {sigmas[0]: self.y + sigmas[0] * eps()}
        for s, r in itertools.pairwise(sigmas):
            eta = self.fresh(s, r)
            kept = math.sqrt(1 - eta) * r / s * (self.sequence[s] - self.y)
            self.sequence[r] = self.y + kept + math.sqrt(eta) * r * eps()

    def kernel(self, x: Tensor, D: Tensor, s: float, r: float) -> tuple[Tensor, float]:
        eta, P = self.fresh(s, r), self.prior_variance
        kept = math.sqrt(1 - eta) * r / s
        return D + kept * (x - D), eta * r**2 + (1 - kept) ** 2 * s**2 * P / (P + s**2)

    def first_datum(self, sigma: float) -> tuple[Tensor, Tensor, float]:
        return self.sequence[sigma], self.tau**2, 0.0

    def datum(self, z: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, float]:
        return self.sequence[r], self.tau**2, 0.0
