r"""Filtering posterior sampling (FPS and FPS-SMC).

A sequence of noisy data is drawn first, from the last level to the first one down,

.. math:: y_r = y + \sqrt{1 - \eta} \, \frac rs (y_s - y) + \sqrt \eta \, r \, A \epsilon

as if :math:`x_r` were known through :math:`y_r = A x_r + N(0, \Sigma)`. The prior's step from s to r, of the same share
:math:`\eta` of fresh noise, is drawn given that datum,

.. math::
    x_r \mid x_s, y_r \propto N(x_r; m, q) \, N(y_r; A x_r, \Sigma), \quad
    m = D + \sqrt{1 - \eta} \, \frac rs (x_s - D), \quad q = \eta r^2

(FPS: each sample by itself, on a sequence of its own), and for FPS-SMC all samples are particles on one sequence,
weighed with :math:`p(y_r \mid x_s) = N(y_r; A m, \Sigma + q A A^\top)`. Here it is done along the singular vectors of
the whitened operator: any noise covariance will do. Needs no derivative of the network.

What it samples, for a Gaussian prior (tested): the posterior of x0 given *all* :math:`y_r` with noise that is
independent from level to level. But :math:`y_r - A x_r` is the same noise at every level, so its data are counted once
a level. Where they are sharp, :math:`\Sigma \to 0`, nothing is counted twice and FPS-SMC is the replacement method
with particles, exact in the limits of :mod:`skyscore.samplers.particles.smcdiff`.

Known failure: with noisy data the posterior is too narrow and fits the noise, more so the more levels there are (with
particles); plain FPS has a bias of its own (tested), and nothing mends the weights of its modes. With :math:`\eta`
fixed the steps add more noise than the reverse SDE does, and in many of them x0 given x_s is replaced by its mean over
and over: samples too narrow.

Reference: Dou & Song (2024), "Diffusion Posterior Sampling for Linear Inverse Problem Solving: A Filtering
Perspective", ICLR, algorithms FPS and FPS-SMC; their code for :math:`\eta` (there `c_rate`). Deviations:
variance-exploding coordinates; :math:`\eta = 1 - r^2/s^2` by default, the reverse SDE's; systematic resampling when the
effective sample size asks for it (theirs: multinomial, at every level: `ess_threshold=1`).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from .filters import ParticleFilter

__all__ = ["FPSSMC"]


class FPSSMC(ParticleFilter):
    """Creates the sampler.

    Arguments:
        particles: whether samples are the particles of one population (FPS-SMC); if not, each goes by itself (FPS).
        eta: share of fresh noise in a step, above 0 and at most 1; that of the reverse SDE by default.
    """

    name = "fpssmc"
    reference = "Dou & Song (2024), ICLR"
    failure = "data counted once a level: too narrow where they are noisy"
    exact_for = "noiseless data, as the particles and the steps go to infinity"

    def __init__(self, *, particles: bool = True, eta: float | None = None, **options):
        super().__init__(**options)
        if eta is not None and not 0 < eta <= 1:
            raise ValueError(f"fpssmc: eta must be above 0 and at most 1, not {eta}")
        self.interacting, self.eta = particles, eta

    def fresh(self, s: float, r: float) -> float:
        """eta, the share of fresh noise in the step from s to r."""
        return 1 - (r / s) ** 2 if self.eta is None else self.eta

    def prepare_data(self, sigmas: list[float], n: int) -> None:
        """The sequence of data, {level: `(rows, K)`}: one row for a population, one for each sample without it."""
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
