r"""Annealed Hamiltonian Monte Carlo, with a Metropolis test that needs scores alone.

The target at level :math:`\sigma` is the posterior whose prior and data are both blurred,

.. math:: \nabla \log \pi_\sigma(x) = \frac{D(x, \sigma) - x}{\sigma^2}
    + A^\top (\Sigma + \sigma^2 A A^\top)^{-1} (y - A x)

which tends to the posterior itself as :math:`\sigma \to 0`, whatever the prior: levels on the way decide where chains
start, not where they end. Each level is one trajectory of leapfrog steps; the energy it gained is found from Simpson
integrals of the score along every step (:mod:`skyscore.samplers.line_integral`), and it is taken with the probability
of Metropolis. Momenta have the precision of a Gaussian posterior as their mass,

.. math:: M_\sigma = (C + \sigma^2)^{-1} + A^\top (\Sigma + \sigma^2 A A^\top)^{-1} A, \qquad
    C = \sigma_1^2 J (1 - J)^{-1}

with J the Jacobian of the denoiser at the first level :math:`\sigma_1`, so that on a Gaussian prior a quarter of a
turn is an independent draw. Chains begin as draws from that Gaussian posterior. From level s to r < s they are carried
by the linear map between the two Gaussians and, for what is not Gaussian, by the probability flow,

.. math:: x \leftarrow m_r + M_r^{-1/2} M_s^{1/2} (x - m_s) + s (s - r) [\nabla \log \pi_s(x) + M_s (x - m_s)]

so the mass decides where chains start and how long their steps are, and not where they end. Steps follow each chain's
own acceptance while levels fall and stand still at the last one. From there to zero samples move by one Euler step of
the flow, :math:`x \leftarrow x + \tfrac12 \sigma^2 \nabla \log \pi_\sigma`, after which modes of posterior variance v
have that variance up to :math:`\sigma^4 / v`.

References: Remy et al. (2022), arXiv:2201.05561, and its code (annealing, Simpson integrals, flow at the end);
Neal (2011), arXiv:1206.1901. Deviations: a mass, a schedule of levels in place of a test that lowers them, the start
(theirs: the Kaiser-Squires map with noise), one step of the flow.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..diffusion.schedule import geometric
from .base import Sampler
from .line_integral import integrate

__all__ = ["HMC", "Mass"]

DENSE_LIMIT = 2048  # pixels up to which C is a matrix
ACCEPTANCE = 0.65  # where turns are as long as they can be at a given number of leapfrog steps (Neal 2011)


class HMC(Sampler):
    """Creates the sampler.

    Arguments:
        steps: evaluations in all, but for those behind the mass: (2 leapfrogs + 1) x trajectories.
        leapfrogs: leapfrog steps of a trajectory.
        turn: angle of a trajectory in the preconditioned coordinates, in radians, and the start of its adaption.
        hold: share of the trajectories that are spent at the last level.
        mass: "dense" (C a matrix: one vector-Jacobian product per pixel and run), or "white" (C a number); by default
            the first up to 2048 pixels.
    """

    name = "hmc"
    reference = "Remy et al. (2022), arXiv:2201.05561"
    failure = "does not cross between modes at the last levels; a network is no exact gradient"
    exact_for = "any prior, as sigma_min goes to 0 and the trajectories to infinity"

    def __init__(
        self,
        *,
        leapfrogs: int = 5,
        turn: float = 1.5,
        hold: float = 0.3,
        mass: str | None = None,
        **options,
    ):
        super().__init__(**options)
        if mass not in (None, "dense", "white"):
            raise ValueError(f'hmc: mass must be "dense" or "white", not {mass!r}')
        self.leapfrogs, self.turn, self.hold, self.mass = leapfrogs, turn, hold, mass

    def prepare(self, sigma_max: float) -> None:
        dense = self.mass == "dense" or (self.mass is None and self.dim <= DENSE_LIMIT)
        self.covariance = self.prior_covariance(sigma_max) if dense else self.white_variance(sigma_max)

    def prior_covariance(self, sigma: float, rows: int = 64) -> Tensor:
        """C `(D, D)`, float64, from the Jacobian of the denoiser at its mean image."""
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
        trajectories = max(len(sigmas) // (2 * self.leapfrogs + 1), 2)
        held = min(int(self.hold * trajectories), trajectories - 2)
        levels = geometric(trajectories - held, sigmas[0], sigmas[-1]) + [sigmas[-1]] * held
        mass = x = score = last = None
        turn, taken = torch.full((n, 1), self.turn, **self.like), []
        for k, level in enumerate(self.bar(levels)):
            if level != last:
                z, rest = self.noise(n), 0.0
                if x is not None:
                    z = mass.half(x - mass.mean)
                    rest = last * (last - level) * (score + mass.half(z))  # what is not Gaussian in the flow
                mass, last = Mass(self.covariance, self.data, self.centre, level), level
                x = mass.mean + mass.half_inverse(z) + rest
                score = self.score(x, level)
            x, score, probability = self.trajectory(x, score, level, mass, turn)
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
        return x + 0.5 * last**2 * score

    def trajectory(self, x: Tensor, score: Tensor, level: float, mass: Mass, turn: Tensor):
        """The next state `(B, D)`, its score, and the probability `(B, 1)` that the proposal had."""
        p, jitter = (
            self.noise(len(x)),
            0.8 + 0.2 * self.uniform(len(x)),
        )  # no chain comes round to where it was
        step = turn * jitter / self.leapfrogs
        new, s, gain, kinetic = x, score, 0.0, p.square().sum(1)
        for _ in range(self.leapfrogs):
            p = p + 0.5 * step * mass.half_inverse(s)
            old, new = new, new + step * mass.half_inverse(p)
            difference, s = integrate(lambda z: self.score(z, level), old, new, s, steps=1)
            gain = gain + difference
            p = p + 0.5 * step * mass.half_inverse(s)
        log_r = gain + 0.5 * (kinetic - p.square().sum(1))
        probability = torch.nan_to_num(log_r.clamp(max=0).exp(), 0.0)[:, None]
        take = self.uniform(len(x)) < probability
        return torch.where(take, new, x), torch.where(take, s, score), probability

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """Of the target at level sigma, shape of x = `(B, D)`."""
        return (self.prior.denoise(x, sigma) - x) / sigma**2 + self.likelihood_score(x, sigma**2)

    def uniform(self, n: int) -> Tensor:
        """Uniform numbers `(n, 1)`, an equal share from each observation's generator."""
        each = n // len(self.generators)
        return torch.cat([torch.rand(each, 1, generator=g, **self.like) for g in self.generators])


class Mass:
    """Creates the precision M of a Gaussian posterior at one level, with its roots.

    Arguments:
        covariance: C of the prior, a matrix `(D, D)` or a number.
        data: singular value decomposition of the whitened operator.
        centre: mean of the prior, `(1, D)`.
        sigma: the level.

    Attributes:
        mean: of that Gaussian posterior, `(1, D)`, or `(B, D)` for data of several observations.
    """

    def __init__(self, covariance: Tensor | float, data, centre: Tensor, sigma: float):
        V, blur = data.V, 1 + sigma**2 * data.s**2
        gain = data.s**2 / blur  # A' (Sigma + sigma^2 A A')^-1 A = V gain V'
        if isinstance(covariance, Tensor):
            prior = torch.linalg.inv(covariance + sigma**2 * torch.eye(len(covariance)).to(covariance))
            W = V.double()
            values, U = torch.linalg.eigh((prior + prior.T) / 2 + (W * gain.double()) @ W.T)
            self.roots = [((U * values**p) @ U.T).to(V.dtype) for p in (0.5, -0.5)]
            b = centre @ prior.to(V.dtype)
        else:
            self.roots, self.V, self.white = None, V, 1 / (covariance + sigma**2)
            self.rest = [(self.white + gain) ** p - self.white**p for p in (0.5, -0.5)]
            b = self.white * centre
        self.mean = self.half_inverse(self.half_inverse(b + (data.s / blur * data.d) @ V.T))

    def half(self, v: Tensor) -> Tensor:
        """M^1/2 v, shape of v = `(B, D)`."""
        return self.root(v, 0)

    def half_inverse(self, v: Tensor) -> Tensor:
        """M^-1/2 v, shape of v = `(B, D)`."""
        return self.root(v, 1)

    def root(self, v: Tensor, which: int) -> Tensor:
        if self.roots is not None:
            return v @ self.roots[which]
        return self.white ** (0.5, -0.5)[which] * v + (self.rest[which] * (v @ self.V)) @ self.V.T
