r"""The particle filter along the noise levels, for data that are seen one singular direction at a time.

In the singular vectors of the whitened operator (:mod:`skyscore.samplers.base`) a linear problem is one of inpainting
with noise: :math:`\bar y_k = d_k / s_k` is the coordinate :math:`z_k = (V^\top x_0)_k` plus noise of standard deviation
:math:`\tau_k = 1 / s_k`. In variance-exploding coordinates that is the law of :math:`(V^\top x_t)_k` at the level
:math:`\sigma_t = \tau_k`. As the noise that diffusion adds to one coordinate is independent of all others,

.. math:: p(x_0 \mid y) = p\big(x_0 \mid (V^\top x_{\tau_k})_k = \bar y_k \; \forall k\big)

without any approximation: noisy data are noiseless data at levels of their own (Cardoso et al. 2023, section on the
noisy case; Kawar et al. 2022). Levels do not hit :math:`\tau_k`; where a step from s to r leaps over it, the coordinate
at :math:`\tau_k` is that of a Brownian bridge between the two, with :math:`w = (\tau^2 - r^2) / (s^2 - r^2)`,

.. math:: \bar y \sim N\big(w z_s + (1 - w) z_r, \; w (1 - w) (s^2 - r^2)\big)

which is again a Gaussian datum of :math:`z_r`. Methods differ in what they let the data say of the levels above.

Each step draws :math:`x_r` from the reverse kernel of the prior, :math:`N(m, q)`, given the datum
:math:`u = z_r + N(0, v)` of its level: along that direction

.. math:: z_r \sim N\big(m + K (u - m), \; q (1 - K)\big), \quad K = \frac{q}{q + v}, \qquad w \propto N(u; m, q + v)

the optimal proposal and its weight, which needs m alone: particles are resampled before they move.

The kernel is the ancestral one, :math:`m = (1 - c) x_s + c D, \; q = r^2 c, \; c = 1 - r^2/s^2`, as in the papers. It
takes x0 for known once x_s is and so ends too narrow (:mod:`skyscore.diffusion.schedule`). A white prior of variance P
would leave :math:`c^2 s^2 P / (P + s^2)` more; `prior_variance` adds that.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from skyscore.samplers.base import Sampler

from .population import Population

__all__ = ["ParticleFilter", "bridge", "log_normal"]


def log_normal(r: Tensor, v: Tensor | float) -> Tensor:
    """log N(r; 0, v), shape of r; zero where v is infinite."""
    v = torch.as_tensor(v, dtype=r.dtype, device=r.device).expand_as(r)
    told = torch.isfinite(v)
    return torch.where(told, -0.5 * (r.square() / v + torch.log(2 * math.pi * torch.where(told, v, 1))), 0)


def bridge(y: Tensor, z: Tensor, tau: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, Tensor]:
    """The coordinate y at levels tau, r <= tau < s, as a datum of the coordinate at r, given z `(n, K)` at s.

    Returns:
        datum u `(n, K)`, its variance v `(K,)`, and log du/dy `(K,)`: densities are to be those of y.
    """
    w = (tau**2 - r**2) / (s**2 - r**2)
    return (y - w * z) / (1 - w), w * (s**2 - r**2) / (1 - w), -torch.log1p(-w)


class ParticleFilter(Sampler):
    """Base class of the filters.

    Arguments:
        ess_threshold: resample when the effective sample size falls below this share of the particles; 1 at every
            level.
        prior_variance: P of a white prior whose spread of x0 is added to the reverse kernel, in prior units squared;
            0 for the published kernel.
    """

    joint = False
    interacting = True

    def __init__(self, *, ess_threshold: float = 0.5, prior_variance: float = 0.0, **options):
        super().__init__(**options)
        if not 0 <= ess_threshold <= 1:
            raise ValueError(f"{self.name}: ess_threshold must be between 0 and 1, not {ess_threshold}")
        if not prior_variance >= 0:
            raise ValueError(f"{self.name}: prior_variance must not be negative, but it is {prior_variance}")
        self.ess_threshold, self.prior_variance = ess_threshold, prior_variance

    def first_datum(self, sigma: float) -> tuple[Tensor, Tensor, Tensor | float]:
        """Datum of the first level, its variance, and what else the log weights gain; as `datum`."""
        raise NotImplementedError(f"{self.name} defines no first_datum")

    def datum(self, z: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, Tensor | float]:
        """What the data say of level r.

        Arguments:
            z: coordinates `(n, K)` of the particles at level s.

        Returns:
            datum u, `(K,)` or `(n, K)`; its variance v `(K,)`, infinite where there is none; and what the log weights
            gain beside log N(u; m, q + v), `(n,)` or a number.
        """
        raise NotImplementedError(f"{self.name} defines no datum")

    def prepare_data(self, sigmas: list[float], n: int) -> None:
        """What a method makes of the data before it starts."""

    def kernel(self, x: Tensor, D: Tensor, s: float, r: float) -> tuple[Tensor, float]:
        """Mean `(n, D)` and variance of the reverse kernel of the prior."""
        c, P = 1 - (r / s) ** 2, self.prior_variance
        return (1 - c) * x + c * D, r**2 * c + c**2 * s**2 * P / (P + s**2)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        self.split(sigmas)
        self.prepare_data(sigmas, n)
        population = Population(n, self.ess_threshold if self.interacting else 0.0, self.generators[0])
        # the start: x0 unknown but for its mean
        m, q = self.centre.expand(n, -1), sigmas[0] ** 2 + self.prior_variance
        u, v, extra = self.first_datum(sigmas[0])
        x = self.draw(m, q, u, v)
        if self.interacting:
            population.weigh(log_normal(u - m @ self.V, q + v).sum(1) + extra)
        for s, r in self.bar(list(itertools.pairwise(sigmas))):
            m, q = self.kernel(x, self.prior.denoise(x, s), s, r)
            u, v, extra = self.datum(x @ self.V, s, r)
            u = u.expand(n, -1)
            if self.interacting:
                population.weigh(log_normal(u - m @ self.V, q + v).sum(1) + extra)
                if (k := population.resample()) is not None:
                    m, u = m[k], u[k]
            x = self.draw(m, q, u, v)
        x = self.prior.denoise(x, sigmas[-1])
        if not self.interacting:
            return x
        k, health = population.finish(self.name)
        self.log_evidence = (
            population.log_evidence + self.tau.log().double().sum()
        )  # a density of d = y / tau
        self.diagnostics |= health
        return x[k]

    def split(self, sigmas: list[float]) -> None:
        """The observed directions V `(D, K)`, their noise tau and data y, both `(K,)`.

        Directions whose noise exceeds a thousand times the first level are free; one sharper than the last level is
        given its noise.
        """
        f = self.data
        seen = f.s * sigmas[0] > 1e-3
        self.V, self.y = f.V[:, seen], f.d[seen] / f.s[seen]
        self.tau = (1 / f.s[seen]).clamp_min(sigmas[-1])

    def draw(self, m: Tensor, q: float, u: Tensor, v: Tensor) -> Tensor:
        """x of N(m, q), shape of m = `(n, D)`, given the data u of its coordinates, of variance v."""
        x = m + math.sqrt(q) * self.noise(len(m))
        K = q / (q + v)
        z, mean = x @ self.V, m @ self.V
        told = mean + K * (u - mean) + (1 - K).sqrt() * (z - mean)
        return x + (told - z) @ self.V.T
