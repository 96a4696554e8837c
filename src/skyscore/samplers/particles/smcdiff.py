r"""The replacement method with a particle filter (SMCDiff).

The observed coordinates of every level are drawn once, by diffusing the data forwards,

.. math:: \tilde z_k(r) = \bar y_k + \text{a Brownian path at } r^2 - \tau_k^2, \qquad r \ge \tau_k

put in the place of those of every particle, and the particles are weighed by how well the prior's reverse kernel
foresaw them, :math:`N(\tilde z(r); m, q)`. The method is one of inpainting without noise, :math:`\tau = 0`. Noisy
linear data are that, along the singular vectors and each from its own level :math:`\tau_k` up
(:mod:`skyscore.samplers.particles.filters`); below it the coordinate is free.

Exact when the reverse chain is the time reversal of the forward one (a perfect denoiser, many levels) and the particles
are many: then every path gives the posterior, as it tells no more than the datum at its beginning. One path serves all
particles of a run: in few levels samples of one run share its error, and agree with each other better than with the
posterior. `log_evidence` of the diagnostics estimates the log of p(d), of the whitened data; its exponential is
unbiased where reverse and forward chain agree.

Known failure: without a look at where the data will lead, weights vary as a bootstrap filter's do with the number of
observed directions; the replacement alone (no particles) is not a conditional draw at all.

Reference: Trippe et al. (2022), "Diffusion probabilistic modeling of protein backbones in 3D for the motif-scaffolding
problem", arXiv:2206.04119 (SMCDiff), and its code. Deviations: variance-exploding coordinates; noisy data, as above;
systematic resampling when the effective sample size asks for it (theirs: residual, when the weights are far enough from
equal; `ess_threshold=1`: at every level).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import ParticleFilter, bridge, log_normal

__all__ = ["SMCDiff"]


class SMCDiff(ParticleFilter):
    """Creates the sampler; arguments are those of
    :class:`~skyscore.samplers.particles.filters.ParticleFilter`."""

    name = "smcdiff"
    reference = "Trippe et al. (2022), arXiv:2206.04119"
    failure = "one noise path for all particles, whose few ancestors share its error in few levels"
    exact_for = "any prior, as the particles and the steps go to infinity"

    def prepare_data(self, sigmas: list[float], n: int) -> None:
        """The path of the observed coordinates, `(levels, K)`, and the log of its density given the data."""
        levels = torch.tensor(sigmas, dtype=torch.float64, device=self.y.device)
        age = (levels.square()[:, None] - self.tau.double() ** 2).clamp_min(0)  # variance diffused since tau
        grown = torch.diff(age, dim=0, append=torch.zeros_like(age[:1])).neg()  # from each level's lower one
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
