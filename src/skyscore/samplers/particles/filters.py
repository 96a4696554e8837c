r"""The particle filter along the noise levels, with the data entering one singular direction at a time.

In the singular vectors of the whitened operator (:mod:`skyscore.samplers.base`) a linear problem is inpainting with
noise: :math:`\bar y_k = d_k / s_k` is the coordinate :math:`z_k = (V^\top x_0)_k` plus noise of standard deviation
:math:`\tau_k = 1 / s_k`. In variance-exploding coordinates that is the law of :math:`(V^\top x_t)_k` at the level
:math:`\sigma_t = \tau_k`. The noise that diffusion adds to one coordinate is independent of all others, therefore

.. math:: p(x_0 \mid y) = p\big(x_0 \mid (V^\top x_{\tau_k})_k = \bar y_k \; \forall k\big)

without any approximation: noisy data are noiseless data at levels of their own (Cardoso et al. 2023, section on the
noisy case; Kawar et al. 2022). The levels do not coincide with :math:`\tau_k`. If a step from s to r passes
:math:`\tau_k`, the coordinate at :math:`\tau_k` is that of a Brownian bridge between the two levels, with
:math:`w = (\tau^2 - r^2) / (s^2 - r^2)`,

.. math:: \bar y \sim N\big(w z_s + (1 - w) z_r, \; w (1 - w) (s^2 - r^2)\big)

which is again a Gaussian datum of :math:`z_r`. The methods differ in how they use the data at the levels above.

Each step draws :math:`x_r` from the reverse kernel of the prior, :math:`N(m, q)`, given the datum
:math:`u = z_r + N(0, v)` of its level. Along that direction

.. math:: z_r \sim N\big(m + K (u - m), \; q (1 - K)\big), \quad K = \frac{q}{q + v}, \qquad w \propto N(u; m, q + v)

These are the optimal proposal and its weight. The weight depends only on m, so that particles are resampled before
they move.

The kernel is the ancestral one, :math:`m = (1 - c) x_s + c D, \; q = r^2 c, \; c = 1 - r^2/s^2`, as in the papers. It
treats x0 as known once x_s is given, and so makes samples too narrow (:mod:`skyscore.diffusion.schedule`). A white
prior of variance P would add :math:`c^2 s^2 P / (P + s^2)`; `prior_variance` adds this term.
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
    """Turns the coordinate y at levels tau, r <= tau < s, into a datum of the coordinate at r, given z `(n, K)` at s.

    Returns:
        datum u `(n, K)`, its variance v `(K,)`, and log du/dy `(K,)`, which converts densities of u to densities of
        y.
    """
    w = (tau**2 - r**2) / (s**2 - r**2)
    return (y - w * z) / (1 - w), w * (s**2 - r**2) / (1 - w), -torch.log1p(-w)


class ParticleFilter(Sampler):
    """Base class of the particle filters.

    Arguments:
        ess_threshold: particles are resampled when the effective sample size falls below this share of the
            particles; 1 resamples at every level.
        prior_variance: P, the variance of a white prior whose spread of x0 is added to the reverse kernel, in prior
            units squared; 0 gives the published kernel.

    Raises:
        ValueError: if an option is outside its range.
    """

    joint = False
    interacting = True

    def __init__(self, *, ess_threshold: float = 0.5, prior_variance: float = 0.0, **options):
        super().__init__(**options)
        if not 0 <= ess_threshold <= 1:
            raise ValueError(f"{self.name}: ess_threshold must be between 0 and 1, not {ess_threshold}")
        if not prior_variance >= 0:
            raise ValueError(f"{self.name}: prior_variance must not be negative, not {prior_variance}")
        self.ess_threshold, self.prior_variance = ess_threshold, prior_variance

    def first_datum(self, sigma: float) -> tuple[Tensor, Tensor, Tensor | float]:
        """Datum at the first level, its variance, and the additional log weight; as :meth:`datum`."""
        raise NotImplementedError(f"{self.name} defines no first_datum")

    def datum(self, z: Tensor, s: float, r: float) -> tuple[Tensor, Tensor, Tensor | float]:
        """The information of the data at level r.

        Arguments:
            z: coordinates `(n, K)` of the particles at level s.
            s, r: the two levels, s > r.

        Returns:
            The datum u, `(K,)` or `(n, K)`; its variance v `(K,)`, infinite where there is no datum; and the term
            added to the log weights besides log N(u; m, q + v), `(n,)` or a number.
        """
        raise NotImplementedError(f"{self.name} defines no datum")

    def prepare_data(self, sigmas: list[float], n: int) -> None:
        """Prepares the data for a method, before the first level."""

    def kernel(self, x: Tensor, D: Tensor, s: float, r: float) -> tuple[Tensor, float]:
        """Mean `(n, D)` and variance of the reverse kernel of the prior."""
        c, P = 1 - (r / s) ** 2, self.prior_variance
        return (1 - c) * x + c * D, r**2 * c + c**2 * s**2 * P / (P + s**2)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        self.split(sigmas)
        self.prepare_data(sigmas, n)
        population = Population(n, self.ess_threshold if self.interacting else 0.0, self.generators[0])
        # start: only the mean of x0 is known
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
        """Sets the observed directions V `(D, K)`, their noise tau `(K,)` and their data y `(K,)`.

        Directions whose noise exceeds a thousand times the first level count as unobserved. A direction with noise
        below the last level gets the noise of that level.
        """
        f = self.data
        seen = f.s * sigmas[0] > 1e-3
        self.V, self.y = f.V[:, seen], f.d[seen] / f.s[seen]
        self.tau = (1 / f.s[seen]).clamp_min(sigmas[-1])

    def draw(self, m: Tensor, q: float, u: Tensor, v: Tensor) -> Tensor:
        """Draws x from N(m, q), shape of m, `(n, D)`, given the data u of its coordinates, with variance v."""
        x = m + math.sqrt(q) * self.noise(len(m))
        K = q / (q + v)
        z, mean = x @ self.V, m @ self.V
        told = mean + K * (u - mean) + (1 - K).sqrt() * (z - mean)
        return x + (told - z) @ self.V.T
