r"""Monte Carlo guided diffusion (MCGDiff).

A particle filter (:mod:`skyscore.samplers.particles.filters`). Levels above :math:`\tau_k` use the datum through the
law that it has after diffusion from :math:`\tau_k`,

.. math:: g_s(z) = \prod_{k: \tau_k < s} N(z_k; \bar y_k, s^2 - \tau_k^2)

so that particles at level s represent :math:`p_s(x) \, g_s(V^\top x)`. A step to r draws from the kernel times
:math:`g_r` and has the weight :math:`N(\bar y; m, q + r^2 - \tau^2) / g_s(z_s)`. In the step that passes
:math:`\tau_k`, the datum is that of the bridge; below it the coordinate is free.

No derivative of the network is needed. In the limit of many particles the method is exact for the reverse chain as
discretised: the potentials guide the particles, and all of them except the last cancel. The diagnostic `log_evidence`
estimates the log of p(d), where d is the whitened data along the observed singular vectors; its exponential is
unbiased for that chain.

Known failure: the weights at a level vary more with more observed directions, and :math:`p_s g_s` treats prior and
datum as independent although both are diffused. Many directions or few levels therefore leave few ancestors. The
ancestral kernel makes samples too narrow with few levels.

Reference: Cardoso et al. (2023), "Monte Carlo guided Diffusion for Bayesian linear inverse problems",
arXiv:2308.07983, its method for noisy data; their code for the potentials. Deviations: variance-exploding
coordinates, in which their potentials have the variance :math:`s^2 - \tau^2 + \kappa (1 + \tau^2)`; the
:math:`\kappa` that keeps the potential at :math:`\tau` proper is 0, because the bridge replaces a level at each
:math:`\tau_k`; the bridge also replaces the weights that their code gives the final images, their likelihood over
the last potential; systematic resampling when the effective sample size is low (theirs: multinomial, at every level:
`ess_threshold=1`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .filters import ParticleFilter, bridge, log_normal

__all__ = ["MCGDiff"]


class MCGDiff(ParticleFilter):
    """The MCGDiff sampler. Its arguments are those of
    :class:`~skyscore.samplers.particles.filters.ParticleFilter`.
    """

    name = "mcgdiff"
    reference = "Cardoso et al. (2023), arXiv:2308.07983"
    failure = "few ancestors survive if many directions are observed; too narrow with few levels"
    exact_for = "any prior, in the limit of many particles and steps"

    def run(self, sigmas: list[float], n: int) -> Tensor:
        x = super().run(sigmas, n)
        self.diagnostics["log_evidence"] = float(self.log_evidence)
        return x

    def first_datum(self, sigma: float) -> tuple[Tensor, Tensor, float]:
        return self.y, (sigma**2 - self.tau**2).abs(), 0.0

    def datum(self, z: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, Tensor]:
        y, tau = self.y, self.tau
        u, v, log_slope = bridge(y, z, tau.clamp(r, None), s, r)
        above, below = tau < r, tau >= s  # r lies above the level of the datum; s does not
        u = torch.where(above, y, u).where(~below, 0.0)
        v = torch.where(above, r**2 - tau**2, v).where(~below, torch.inf)
        log_slope = torch.where(above | below, 0.0, log_slope).sum()
        spent = log_normal(z - y, (s**2 - tau**2).where(~below, torch.inf)).sum(1)  # g_s
        return u, v, log_slope - spent
