r"""Monte Carlo guided diffusion (MCGDiff).

A particle filter (:mod:`skyscore.samplers.particles.filters`) whose levels above :math:`\tau_k` know the
datum through the law that diffusion from :math:`\tau_k` on gives it,

.. math:: g_s(z) = \prod_{k: \tau_k < s} N(z_k; \bar y_k, s^2 - \tau_k^2)

so that particles at level s represent :math:`p_s(x) \, g_s(V^\top x)`. A step to r draws from the kernel times
:math:`g_r` and weighs with :math:`N(\bar y; m, q + r^2 - \tau^2) / g_s(z_s)`; where it leaps over :math:`\tau_k` the
datum is that of the bridge, once and for all, and the coordinate is free below.

Needs no derivative of the network. Exact in the limit of many particles for the reverse chain as discretised: the
potentials steer, and all of them but the last cancel. `log_evidence` of the diagnostics estimates the log of p(d), d
the whitened data along the observed singular vectors; its exponential is unbiased for that chain.

Known failure: the weights of a level vary with the number of observed directions, and :math:`p_s g_s` counts prior and
datum as independent though both are blurred, so that many directions or few levels leave few ancestors; and the
ancestral kernel, which makes samples too narrow in few levels.

Reference: Cardoso et al. (2023), "Monte Carlo guided Diffusion for Bayesian linear inverse problems",
arXiv:2308.07983, its method for noisy data; their code for the potentials. Deviations:
variance-exploding coordinates, in which theirs have the variance :math:`s^2 - \tau^2 + \kappa (1 + \tau^2)`; the
:math:`\kappa` that keeps the potential at :math:`\tau` proper is 0, as the bridge serves there in place of a level at
each :math:`\tau_k`, and in place of the weights that their code gives the final images, their likelihood over the last
potential; systematic resampling when the effective sample size asks for it (theirs: multinomial, at every level:
`ess_threshold=1`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import ParticleFilter, bridge, log_normal

__all__ = ["MCGDiff"]


class MCGDiff(ParticleFilter):
    """Creates the sampler; arguments are those of
    :class:`~skyscore.samplers.particles.filters.ParticleFilter`."""

    name = "mcgdiff"
    reference = "Cardoso et al. (2023), arXiv:2308.07983"
    failure = "few ancestors are left where many directions are observed; too narrow in few levels"
    exact_for = "any prior, as the particles and the steps go to infinity"

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = super().run(sigmas, n)
        self.diagnostics["log_evidence"] = float(self.log_evidence)
        return x

    def first_datum(self, sigma: float) -> tuple[Tensor, Tensor, float]:
        return self.y, (sigma**2 - self.tau**2).abs(), 0.0

    def datum(self, z: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, Tensor]:
        y, tau = self.y, self.tau
        u, v, log_slope = bridge(y, z, tau.clamp(r, None), s, r)
        above, below = tau < r, tau >= s  # the level r lies above the datum's own; or s does not
        u = torch.where(above, y, u).where(~below, 0.0)
        v = torch.where(above, r**2 - tau**2, v).where(~below, torch.inf)
        log_slope = torch.where(above | below, 0.0, log_slope).sum()
        spent = log_normal(z - y, (s**2 - tau**2).where(~below, torch.inf)).sum(1)  # g_s
        return u, v, log_slope - spent
