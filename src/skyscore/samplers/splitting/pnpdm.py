r"""Plug-and-play diffusion models (PnP-DM): a split Gibbs sampler.

It samples :math:`\pi(x, z) \propto p(y \mid z) \, p(x) \, N(x; z, \rho^2)` by alternating two draws,

.. math::
    z \mid x \sim N(m, \Lambda^{-1}), \quad \Lambda = A^\top \Sigma^{-1} A + \rho^{-2}, \quad
    m = \Lambda^{-1} (A^\top \Sigma^{-1} y + x / \rho^2); \qquad
    x \mid z \sim p(x_0 \mid x_\rho = z)

The second draw is the reverse SDE of the prior from level rho, started at z. While rho falls from `rho_max` to
`rho_min`, x converges to the exact posterior of data whose noise is :math:`\Sigma + \rho_\mathrm{min}^2 A A^\top`.
The result is right as rho_min goes to zero and the number of turns per level to infinity (mixing takes of order
rho^-2 turns).

`matched` subtracts that broadening from the noise beforehand: z is drawn given data with the noise
:math:`\Sigma - \rho^2 A A^\top`, which has the variance :math:`s^{-2} - \rho^2` along a singular vector of the
whitened operator. Then x has the exact posterior at any :math:`\rho < 1 / s_\mathrm{max}`. A direction with smaller
noise than rho gets a thousandth of rho^2 and stays too broad until rho has fallen below its noise. Where the noise
is as large as the prior's own small scales, as in convergence maps, rho can stay that large, and chains mix in a few
turns. This variant is not in the papers.

References: Wu et al. (2024), arXiv:2405.18782, and its code; Coeurdoux et al. (2023), arXiv:2304.11134;
Xu & Chi (2024), "DPnP", arXiv:2403.17042. Deviations: few evaluations in a reverse run, with its own step rule
(theirs: Euler steps on the part below rho of a schedule of 100 levels); one sample from each chain (theirs: 20 from
the last 60 of its 100 turns); `matched`.
"""

from __future__ import annotations

import math

from torch import Tensor

from skyscore.diffusion.schedule import geometric, short, short_run
from skyscore.samplers.base import Sampler

__all__ = ["PnPDM"]


class PnPDM(Sampler):
    """The PnP-DM sampler.

    Arguments:
        steps: total number of evaluations: turns x inner.
        inner: evaluations per reverse run of the prior, at least 3; :func:`skyscore.diffusion.schedule.short` gives
            the fraction of the variance of x | z that they keep.
        rho_max, rho_min: coupling of the first and of the last turns, in prior units. By default rho_max = sigma_max
            / 5, and rho_min = 0.3 times the smallest noise (in units of the image).
        matched: whether to subtract the coupling from the noise; rho_min is then 0.9 times the smallest noise by
            default.
        hold: share of the turns that are spent at rho_min.
        correctors: Langevin steps of the prior at the end of each reverse run.
        tau: size of a Langevin step, in units of sigma^2.
    """

    name = "pnpdm"
    reference = "Wu et al. (2024), arXiv:2405.18782"
    failure = "too wide by rho_min^2; mixing takes about 1 / rho_min^2 turns, so modes keep wrong weights"
    exact_for = "any prior, in the limit rho_min -> 0 and infinitely many turns"

    def __init__(
        self,
        *,
        inner: int = 6,
        rho_max: float | None = None,
        rho_min: float | None = None,
        matched: bool = False,
        hold: float = 0.3,
        correctors: int = 0,
        tau: float = 0.1,
        **options,
    ):
        super().__init__(**options)
        self.inner, self.rho_max, self.rho_min, self.hold = inner, rho_max, rho_min, hold
        self.matched, self.correctors, self.tau = matched, correctors, tau

    @property
    def matrix_free(self) -> bool:
        return self.matched

    def run(self, sigmas: list[float], n: int) -> Tensor:
        top = self.rho_max if self.rho_max is not None else sigmas[0] / 5
        low = self.rho_min if self.rho_min is not None else (9 if self.matched else 3) * sigmas[-1]
        turns = max(len(sigmas) // (self.inner + self.correctors), 2)
        held = min(int(self.hold * turns), turns - 2)
        rhos = geometric(turns - held, top, low) + [low] * held
        self.diagnostics |= {"turns": turns, "rho_min": low}
        x = self.start(n, top)
        for rho in self.bar(rhos):
            x = self.prior_step(self.likelihood_step(x, rho), rho)
        return x

    def likelihood_step(self, x: Tensor, rho: float) -> Tensor:
        """Draws z | x, `(B, D)`: Gaussian along each singular vector, N(x, rho^2) in unobserved directions."""
        if self.data is None:
            return self.likelihood.coupled(x, rho, lambda *shape: self.noise(len(x), *shape))
        given = 1 / (self.data.s**-2 - rho**2).clamp_min(1e-3 * rho**2) if self.matched else None
        return self.data_draw(x, rho, given)

    def prior_step(self, z: Tensor, rho: float) -> Tensor:
        """Draws x ~ p(x0 | x_rho = z), shape `(B, D)`: the reverse SDE from level rho, then the denoiser."""
        levels = short(self.inner, rho)
        x, D = short_run(self.prior.denoise, z, levels, lambda x: self.noise(len(x)))
        for _ in range(self.correctors):
            x = x + self.tau * (D - x) + levels[-1] * math.sqrt(2 * self.tau) * self.noise(len(x))
            D = self.prior.denoise(x, levels[-1])
        return D
