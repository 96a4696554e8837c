r"""The replacement method with a particle filter (SMCDiff).

The observed coordinates of every level are drawn once, by diffusing the data forwards,

.. math:: \tilde z_k(r) = \bar y_k + \text{a Brownian path at } r^2 - \tau_k^2, \qquad r \ge \tau_k

They replace those of every particle. The weight of a particle is the probability of the drawn values under the
prior's reverse kernel, :math:`N(\tilde z(r); m, q)`. The published method is for inpainting without noise,
:math:`\tau = 0`. For noisy linear data it applies along the singular vectors, for each from its own level
:math:`\tau_k` upwards (:mod:`skyscore.samplers.particles.filters`); below that level the coordinate is free.

The method is exact if the reverse chain is the time reversal of the forward one (a perfect denoiser, many levels) and
there are many particles: then every path gives the posterior, because it carries no more information than the datum
at its start. One path serves all particles of a run: with few levels the samples of one run share its error, and
agree with each other better than with the posterior. The diagnostic `log_evidence` estimates the log of p(d), d the
whitened data; its exponential is unbiased if reverse and forward chain agree.

Known failure: the proposal does not look ahead at the data, so that weights vary with the number of observed
directions, as those of a bootstrap filter do. Replacement alone (no particles) is not a conditional draw at all.

Reference: Trippe et al. (2022), "Diffusion probabilistic modeling of protein backbones in 3D for the
motif-scaffolding problem", arXiv:2206.04119 (SMCDiff), and its code. Deviations: variance-exploding coordinates;
noisy data, as above; systematic resampling when the effective sample size is low (theirs: residual, when the weights
are far enough from equal; `ess_threshold=1`: at every level).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import ParticleFilter, bridge, log_normal

__all__ = ["SMCDiff"]


class SMCDiff(ParticleFilter):
    """The SMCDiff sampler. Its arguments are those of
    :class:`~skyscore.samplers.particles.filters.ParticleFilter`.
    """

    name = "smcdiff"
    reference = "Trippe et al. (2022), arXiv:2206.04119"
    failure = "all particles share the error of one noise path if levels are few; few ancestors survive"
    exact_for = "any prior, in the limit of many particles and steps"

    def prepare_data(self, sigmas: list[float], n: int) -> None:
        """Draws the path of the observed coordinates, `(levels, K)`, and the log of its density given the data."""
        levels = torch.tensor(sigmas, dtype=torch.float64, device=self.y.device)
        age = (levels.square()[:, None] - self.tau.double() ** 2).clamp_min(0)  # variance added since tau
        grown = torch.diff(age, dim=0, append=torch.zeros_like(age[:1])).neg()  # from the next lower level
        eps = torch.randn(grown.shape, generator=self.generators[0], **self.like)
        steps = grown.sqrt().to(self.y) * eps
        self.path = dict(zip(sigmas, self.y + steps.flip(0).cumsum(0).flip(0), strict=True))
        self.log_path = log_normal(steps, torch.where(grown > 0, grown, torch.inf).to(self.y)).double().sum()

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = super().run(sigmas, n)
        self.diagnostics["log_evidence"] = float(self.log_evidence - self.log_path)
        return x

    def first_datum(self, sigma: float) -> tuple[Tensor, Tensor, float]:
        return self.path[sigma], (self.tau**2 - sigma**2).clamp_min(0), 0.0

    def datum(self, z: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, Tensor]:
        tau = self.tau
        u, v, log_slope = bridge(self.y, z, tau.clamp(r, None), s, r)
        above, below = tau < r, tau >= s
        u = torch.where(above, self.path[r], u).where(~below, 0.0)
        v = torch.where(above, 0.0, v).where(~below, torch.inf)
        return u, v, torch.where(above | below, 0.0, log_slope).sum()
