r"""Annealed Hamiltonian Monte Carlo, with a Metropolis test that needs only scores.

The posterior has two unknowns: z, the image diffused to a level :math:`\rho` as small as the noise of the data, and
the image x given z. In the singular vectors of the whitened operator, :math:`W = U \, \mathrm{diag}(s) V^\top`, data
with noise :math:`s^{-2}` on x are data with noise :math:`s^{-2} - \rho^2` on z. The law of z is therefore

.. math:: \nabla \log \pi_\rho(z) = \frac{D(z, \rho) - z}{\rho^2}
    + A^\top (\Sigma - \rho^2 A A^\top)^{-1} (y - A z), \qquad \rho < 1 / s_\mathrm{max}

and x is drawn from z by the reverse SDE of the prior. This is the exact posterior for any prior, at a finite level.
At much smaller levels the score of a network is inaccurate, because noise hides it in training: for shear, which does
not constrain the mean of a map, this error shifts the mean by several standard deviations of the prior.

Chains reach this target through falling levels :math:`\sigma`, with noise :math:`s^{-2} + \sigma^2 - 2 \rho^2`. These
levels decide where the chains start, not where they end. Each level is one trajectory of leapfrog steps. Simpson
integrals of the score along every step give its gain in energy (:mod:`skyscore.samplers.chains.line_integral`), and a
Metropolis test accepts it. The mass of the momenta is the precision of a Gaussian posterior,

.. math:: M_\sigma = (C + \sigma^2)^{-1} + A^\top (\Sigma + (\sigma^2 - 2 \rho^2) A A^\top)^{-1} A, \qquad
    C = \sigma_1^2 J (1 - J)^{-1}

with J the Jacobian of the denoiser at the first level :math:`\sigma_1`, so that for a Gaussian prior a quarter of a
turn is an independent draw. Chains start as draws from that Gaussian posterior. From level s to r < s they move by
the linear map between the two Gaussians and, for the non-Gaussian part, by the probability flow,

.. math:: x \leftarrow m_r + M_r^{-1/2} M_s^{1/2} (x - m_s) + s (s - r) [\nabla \log \pi_s(x) + M_s (x - m_s)]

The step size follows each chain's own acceptance while the levels fall, and is fixed at the last level.

References: Remy et al. (2022), arXiv:2201.05561, and its code (annealing, Simpson integrals, reverse diffusion at the
end); Neal (2011), arXiv:1206.1901. Deviations: the noise of the data is deconvolved by that of the level (theirs is
convolved with it, :math:`\Sigma + \sigma^2`, which is right in the limit of level 0); a mass; a schedule of levels in
place of a test that lowers them; the start (theirs: the Kaiser-Squires map with noise).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skyscore.diffusion.schedule import geometric, short, short_run
from skyscore.samplers.base import Sampler

from .line_integral import integrate

__all__ = ["HMC", "Mass"]

DENSE_LIMIT = 2048  # pixels up to which C is a matrix
ACCEPTANCE = 0.65  # optimal acceptance for a given number of leapfrog steps (Neal 2011)


class HMC(Sampler):
    """The annealed HMC sampler.

    Arguments:
        steps: total number of evaluations, except those that measure the mass: (2 leapfrogs + 1) x trajectories +
            inner + 1, with at least two trajectories.
        sigma_min: the level rho, in prior units; by default 0.9 of the smallest noise of the data. A direction whose
            noise is smaller than rho gets a thousandth of rho^2 and stays too broad.
        leapfrogs: leapfrog steps of a trajectory.
        turn: initial angle of a trajectory in the preconditioned coordinates, in radians; it adapts while levels
            fall.
        hold: share of the trajectories that are spent at the last level.
        mass: "dense" (C is a matrix: one vector-Jacobian product per pixel and run) or "white" (C is a number); by
            default "dense" up to 2048 pixels, "white" above.
        inner: evaluations of the reverse run at the end.

    Raises:
        ValueError: for an unknown mass, or too few steps or inner evaluations.
    """

    name = "hmc"
    reference = "Remy et al. (2022), arXiv:2201.05561"
    failure = (
        "does not cross between modes at the last level; the score of a network is not an exact gradient"
    )
    exact_for = "any prior, in the limit of many trajectories and `inner` evaluations"

    def __init__(
        self,
        *,
        leapfrogs: int = 5,
        turn: float = 1.5,
        hold: float = 0.3,
        mass: str | None = None,
        inner: int = 16,
        **options,
    ):
        super().__init__(**options)
        if mass not in (None, "dense", "white"):
            raise ValueError(f'hmc: mass must be "dense" or "white", not {mass!r}')
        if inner < 3:
            raise ValueError(f"hmc: inner must be at least 3, not {inner}")
        least = 2 * (2 * leapfrogs + 1) + inner + self.besides
        if self.steps < least:
            raise ValueError(
                f"hmc: steps must be at least {least} (two trajectories and a reverse run), not {self.steps}"
            )
        self.leapfrogs, self.turn, self.hold, self.mass, self.inner = leapfrogs, turn, hold, mass, inner

    def range(self) -> tuple[float, float]:
        top, low = super().range()
        return top, low if self.sigma_min is not None else 9 * low

    def prepare(self, sigma_max: float) -> None:
        dense = self.mass == "dense" or (self.mass is None and self.dim <= DENSE_LIMIT)
        self.covariance = self.prior_covariance(sigma_max) if dense else self.white_variance(sigma_max)

    def prior_covariance(self, sigma: float, rows: int = 64) -> Tensor:
        """C `(D, D)`, float64, in prior units squared, from the Jacobian of the denoiser at the prior's mean image."""
        x = self.prior.denoise(torch.zeros(1, self.dim, **self.like), sigma)
        x, parts = x.expand(min(rows, self.dim), -1).contiguous(), []
        _, vjp = self.prior.denoise_vjp(x, sigma)
        for units in torch.eye(self.dim, **self.like).split(len(x)):
            padded = torch.nn.functional.pad(units, (0, 0, 0, len(x) - len(units)))
            parts.append(vjp(padded)[: len(units)])
        J = torch.cat(parts).double()
        share, Q = torch.linalg.eigh((J + J.T) / 2)
        share = share.clamp(1e-8, 1 - 1e-6)
        return (Q * (sigma**2 * share / (1 - share))) @ Q.T

    def run(self, sigmas: list[float], n: int) -> Tensor:
        trajectories = (len(sigmas) - self.inner) // (2 * self.leapfrogs + 1)
        held = min(int(self.hold * trajectories), trajectories - 2)
        levels = geometric(trajectories - held, sigmas[0], sigmas[-1]) + [sigmas[-1]] * held
        mass: Any
        x: Any
        score: Any
        last: Any
        mass = x = score = last = None  # before the first level
        turn, taken = torch.full((n, 1), self.turn, **self.like), []
        for k, level in enumerate(self.bar(levels)):
            if level != last:
                rest: Tensor | float = 0.0
                z = self.noise(n)
                if x is not None:
                    z = mass.half(x - mass.mean)
                    rest = last * (last - level) * (score + mass.half(z))  # the non-Gaussian part of the flow
                mass, last = Mass(self.covariance, self.data, self.centre, level, sigmas[-1]), level
                x = mass.mean + mass.half_inverse(z) + rest
                score = self.score(x, mass)
            x, score, probability = self.trajectory(x, score, mass, turn)
            if k < len(levels) - held:
                turn = (turn * torch.exp(0.5 * (probability - ACCEPTANCE))).clamp(0.05, 1.6)
            taken.append(probability)
        settled = torch.cat(taken[-max(held, 1) :])
        self.diagnostics |= {
            "acceptance": float(settled.mean()),
            "acceptance_lowest": float(torch.stack(taken).mean(1).min()),
            "turn": float(turn.mean()),
            "trajectories": trajectories,
        }
        levels = short(self.inner, sigmas[-1])
        return short_run(self.prior.denoise, x, levels, lambda x: self.noise(len(x)))[1]

    def trajectory(self, x: Tensor, score: Tensor, mass: Mass, turn: Tensor):
        """The next state `(B, D)`, its score `(B, D)`, and the acceptance probability of the proposal `(B, 1)`."""
        p = self.noise(len(x))
        jitter = 0.8 + 0.2 * self.uniform(len(x))  # so that no chain returns periodically to its start
        step = turn * jitter / self.leapfrogs
        gain: Tensor | float = 0.0
        new, s, kinetic = x, score, p.square().sum(1)
        for _ in range(self.leapfrogs):
            p = p + 0.5 * step * mass.half_inverse(s)
            old, new = new, new + step * mass.half_inverse(p)
            difference, s = integrate(lambda z: self.score(z, mass), old, new, s, steps=1)
            gain = gain + difference
            p = p + 0.5 * step * mass.half_inverse(s)
        log_r = gain + 0.5 * (kinetic - p.square().sum(1))
        probability = torch.nan_to_num(log_r.clamp(max=0).exp(), 0.0)[:, None]
        take = self.uniform(len(x)) < probability
        return torch.where(take, new, x), torch.where(take, s, score), probability

    def score(self, x: Tensor, mass: Mass) -> Tensor:
        """Score of the target at the level of this mass, shape of x, `(B, D)`."""
        return (self.prior.denoise(x, mass.sigma) - x) / mass.sigma**2 + mass.likelihood_score(x)

    def uniform(self, n: int) -> Tensor:
        """Uniform numbers `(n, 1)`; each observation's generator draws an equal share."""
        each = n // len(self.generators)
        return torch.cat([torch.rand(each, 1, generator=g, **self.like) for g in self.generators])


class Mass:
    """The precision M of a Gaussian posterior at one level, with its square roots.

    Arguments:
        covariance: C of the prior, a matrix `(D, D)` or a number.
        data: singular value decomposition of the whitened operator.
        centre: mean of the prior, `(1, D)`.
        sigma: the level.
        rho: the last level.

    Attributes:
        mean: mean of that Gaussian posterior, `(1, D)`, or `(B, D)` for data of several observations.
    """

    def __init__(self, covariance: Tensor | float, data, centre: Tensor, sigma: float, rho: float):
        V, s, self.data, self.sigma = data.V, data.s, data, sigma
        self.blur = (1 + (sigma**2 - 2 * rho**2) * s**2).clamp_min(1e-3 * sigma**2 * s**2)
        gain = s**2 / self.blur  # precision of the data on z, V gain V'
        if isinstance(covariance, Tensor):
            prior = torch.linalg.inv(covariance + sigma**2 * torch.eye(len(covariance)).to(covariance))
            W = V.double()
            values, U = torch.linalg.eigh((prior + prior.T) / 2 + (W * gain.double()) @ W.T)
            self.roots: list[Tensor] | None = [((U * values**p) @ U.T).to(V.dtype) for p in (0.5, -0.5)]
            b = centre @ prior.to(V.dtype)
        else:
            self.roots, self.V, self.white = None, V, 1 / (covariance + sigma**2)
            self.rest = [(self.white + gain) ** p - self.white**p for p in (0.5, -0.5)]
            b = self.white * centre
        self.mean = self.half_inverse(self.half_inverse(b + (s / self.blur * data.d) @ V.T))

    def likelihood_score(self, x: Tensor) -> Tensor:
        """Score of the data at this level, shape of x, `(B, D)`."""
        V, s, d = self.data.V, self.data.s, self.data.d
        return (s / self.blur * (d - s * (x @ V))) @ V.T

    def half(self, v: Tensor) -> Tensor:
        """M^1/2 v, shape of v, `(B, D)`."""
        return self.root(v, 0)

    def half_inverse(self, v: Tensor) -> Tensor:
        """M^-1/2 v, shape of v, `(B, D)`."""
        return self.root(v, 1)

    def root(self, v: Tensor, which: int) -> Tensor:
        if self.roots is not None:
            return v @ self.roots[which]
        return self.white ** (0.5, -0.5)[which] * v + (self.rest[which] * (v @ self.V)) @ self.V.T
