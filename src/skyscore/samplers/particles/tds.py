r"""Twisted sequential Monte Carlo (twisted diffusion sampler, TDS).

The n samples are the particles of one population. Level by level a guided kernel moves them, and they are weighted so
that at level s they represent :math:`p_s(x) \, \psi_s(x)`, with the twist

.. math:: \psi_s(x) = N(y; A D, \Sigma + A V_s A^\top), \quad D = E[x_0 \mid x_s = x]

Guidance gets each mode right; the weights correct the weights of the modes. In the limit of many particles the method
is exact for the reverse chain as discretised.

`twist="jacobian"` uses Tweedie's covariance, :math:`V_s = s^2 \, \partial D / \partial x`, of each particle (D
vector-Jacobian products per level). Then x0 given x_s is N(D, V), and given y too it is N(D_y, V_y), the Gaussian
update of N(D, V). With :math:`c = 1 - r^2/s^2` and :math:`q = r^2 c` the reverse kernel, proposal and weight are

.. math::
    p(x_r \mid x_s) = N((1 - c) x_s + c D, \, q + c^2 V), \quad
    m(x_r \mid x_s) = N((1 - c) x_s + c D_y, \, q + c^2 V_y), \quad
    w = \frac{\psi_r(x_r) \, p(x_r \mid x_s)}{\psi_s(x_s) \, m(x_r \mid x_s)}

They are exact at any step size for a Gaussian prior (the published kernel, without c^2 V, makes samples too narrow).
The last level ends with a draw from N(D_y, V_y).

The other two twists are for large images and use the published kernel N(x + (s^2 - r^2) (score + grad log psi), q I);
at the last level the weight is the exact likelihood of D. `twist="moment"` has the same V_s, but solves with it by a
few conjugate-gradient steps as MMPS does, and leaves its determinant out of psi (any positive psi gives the right law
at the end). `twist="level"` uses a V_s that depends only on the level, :math:`s^2 C / (C + s^2)` for a prior
covariance C (white, or low-rank plus white): it costs one vector-Jacobian product per level, but is stiff where C is
too small.

Reference: Wu et al. (2023), "Practical and Asymptotically Exact Conditional Sampling in Diffusion Models",
arXiv:2306.17775, algorithm 1. Deviation: the covariances V in twist and kernel (their code: the likelihood at D, for
inpainting with one variance per level).
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from skyscore.samplers.base import Sampler
from skyscore.samplers.guidance.mmps import Preconditioner, tweedie_gradient

from .population import Population

__all__ = ["TDS"]

JACOBIAN_LIMIT = 256  # largest number of pixels for which the full Jacobian is the default


def log_normal(r: Tensor, S: Tensor) -> tuple[Tensor, Tensor]:
    """log N(r; 0, S) up to its constant, `(B,)`, and the Cholesky factor of S, given r `(B, N)` and S `(B, N, N)`."""
    L = torch.linalg.cholesky(S)
    z = torch.linalg.solve_triangular(L, r[..., None], upper=False)
    return -0.5 * z.square().sum((1, 2)) - L.diagonal(dim1=1, dim2=2).log().sum(1), L


def matvec(A: Tensor, x: Tensor) -> Tensor:
    """A x of a batch, `(B, M)`, given A `(B, M, N)` and x `(B, N)`."""
    return (A @ x[..., None])[..., 0]


class TDS(Sampler):
    """The TDS sampler.

    Arguments:
        twist: "jacobian", "moment" or "level", see the module; by default "jacobian" up to 256 pixels, "moment"
            above.
        particles: particles per returned sample. If there are more particles than samples, the samples are less
            similar, and the weights of modes are those of all particles.
        ess_threshold: particles are resampled when the effective sample size falls below this share of the particles.
            Weights change at high levels; with a low threshold the last resampling can come at a level where copies
            no longer separate.
        cg_steps: conjugate-gradient steps of the moment twist; each costs one vector-Jacobian product.
        prior_variance: white part of C for the level twist, in prior units squared; measured by default.
        components: low-rank part of C: tensors `(vectors (K, D), variances (K,))`, or None.
        correctors: unadjusted Langevin moves at each level; each costs one more evaluation (they do not leave the
            twisted law invariant: 0 is best).
        tau: size of a move, in units of sigma^2.

    Raises:
        ValueError: for an unknown twist, or an option outside its range.
    """

    name = "tds"
    reference = "Wu et al. (2023), arXiv:2306.17775, algorithm 1"
    failure = "particles collapse if there are many data; the best twist costs one product per pixel"
    needs_vjp = True
    joint = False
    exact_for = "any prior, in the limit of many particles and steps"

    def __init__(
        self,
        *,
        twist: str | None = None,
        particles: float = 1.0,
        ess_threshold: float = 0.9,
        cg_steps: int = 5,
        prior_variance: float | None = None,
        components: tuple[Tensor, Tensor] | None = None,
        correctors: int = 0,
        tau: float = 0.1,
        **options,
    ):
        super().__init__(**options)
        if twist not in (None, "jacobian", "moment", "level"):
            raise ValueError(f'tds: twist must be "jacobian", "moment" or "level", not {twist!r}')
        if not 0 <= ess_threshold <= 1:
            raise ValueError(f"tds: ess_threshold must be between 0 and 1, not {ess_threshold}")
        if not particles >= 1:
            raise ValueError(f"tds: particles must be at least 1 per sample, not {particles}")
        self.twist, self.ess_threshold, self.prior_variance = twist, ess_threshold, prior_variance
        self.particles = particles
        self.cg_steps, self.components, self.correctors, self.tau = cg_steps, components, correctors, tau

    def range(self) -> tuple[float, float]:
        top, low = super().range()
        # with the Jacobian the last draw is exact once x0 given x_s is Gaussian
        return top, low if self.sigma_min or not self.full else max(low, 5e-3 * top)

    def prepare(self, sigma_max: float) -> None:
        if not self.full:
            self.white = self.prior_variance or self.white_variance(sigma_max)
            self.precondition = Preconditioner(self.data, self.prior.linear_covariance, self.white)

    @property
    def full(self) -> bool:
        """Whether the twist uses the full Jacobian."""
        return self.twist == "jacobian" or (self.twist is None and self.dim <= JACOBIAN_LIMIT)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        kernel = (
            JacobianKernel(self)
            if self.full
            else (LevelKernel if self.twist == "level" else MomentKernel)(self)
        )
        samples, n = n, round(self.particles * n)
        x = self.start(n, sigmas[0])
        state, log_psi = kernel.state(x, sigmas[0])
        population = Population(n, self.ess_threshold, self.generators[0])
        population.weigh(log_psi)
        for s, r in self.bar(list(itertools.pairwise(sigmas))):
            if (k := population.resample()) is not None:
                x, log_psi, state = x[k], log_psi[k], tuple(t[k] for t in state)
            x_r, log_ratio = kernel.move(x, state, s, r)
            state, log_psi_r = kernel.state(x_r, r)
            population.weigh(log_psi_r - log_psi + log_ratio)
            x, log_psi = x_r, log_psi_r
            for _ in range(self.correctors):
                drift = kernel.posterior_mean(state, x, r) - x
                x = x + self.tau * drift + r * math.sqrt(2 * self.tau) * self.noise(n)
                state, log_psi = kernel.state(x, r)
        population.weigh(kernel.last_weight(state, log_psi))
        k, health = population.finish(self.name, samples)
        self.diagnostics |= health
        return kernel.ended(tuple(t[k] for t in state))


class JacobianKernel:
    """Reverse kernel, proposal and twist with Tweedie's covariance of each particle."""

    def __init__(self, sampler: TDS):
        self.sampler = sampler
        self.W = (sampler.data.V * sampler.data.s).T.contiguous()  # (N, D): image to whitened data
        self.d = sampler.data.d

    def state(self, x: Tensor, sigma: float) -> tuple[tuple[Tensor, ...], Tensor]:
        """(D, V, D_y, V_y) and log psi: D and D_y of shape `(B, D)`, V and V_y `(B, D, D)`, log psi `(B,)`."""
        D, J = self.sampler.prior.denoise_jacobian(x, sigma)
        V = self.semidefinite(0.5 * sigma**2 * (J + J.mT))
        WV, r = self.W @ V, self.d - D @ self.W.T
        S = WV @ self.W.T
        S.diagonal(dim1=1, dim2=2).add_(1)
        log_psi, L = log_normal(r, S)
        solved = torch.cholesky_solve(torch.cat([r[..., None], WV], dim=-1), L)
        D_y = D + (WV.mT @ solved[..., :1])[..., 0]
        V_y = V - WV.mT @ solved[..., 1:]
        return (D, V, D_y, 0.5 * (V_y + V_y.mT)), log_psi

    @staticmethod
    def semidefinite(V: Tensor) -> Tensor:
        """V, with its negative eigenvalues set to zero where a learned denoiser makes it indefinite."""
        probe = V.clone()
        probe.diagonal(dim1=1, dim2=2).add_(
            1e-6 * V.diagonal(dim1=1, dim2=2).abs().mean(1, keepdim=True) + 1e-12
        )
        bad = torch.linalg.cholesky_ex(probe).info > 0
        if bool(bad.any()):
            values, vectors = torch.linalg.eigh(V[bad])
            V = V.clone()
            V[bad] = (vectors * values.clamp_min(0)[:, None]) @ vectors.mT
        return V

    def posterior_mean(self, state, x: Tensor, sigma: float) -> Tensor:
        return state[2]

    def move(self, x: Tensor, state, s: float, r: float) -> tuple[Tensor, Tensor]:
        """Draws x_r from the proposal; returns it with log p(x_r | x_s) - log m(x_r | x_s)."""
        D, V, D_y, V_y = state
        c = 1 - (r / s) ** 2
        P, M = c**2 * V, c**2 * V_y
        for C in (P, M):
            C.diagonal(dim1=1, dim2=2).add_(r**2 * c)
        L, eps = torch.linalg.cholesky(M), self.sampler.noise(len(x))
        x_r = (1 - c) * x + c * D_y + matvec(L, eps)
        log_m = -0.5 * eps.square().sum(1) - L.diagonal(dim1=1, dim2=2).log().sum(1)
        log_p, _ = log_normal(x_r - (1 - c) * x - c * D, P)
        return x_r, log_p - log_m

    def last_weight(self, state, log_psi: Tensor) -> float:
        """Zero: the weights already are those of psi."""
        return 0.0

    def ended(self, state) -> Tensor:
        """Draws from N(D_y, V_y), one per surviving particle, so that children of one parent differ."""
        _, _, D_y, V_y = state
        values, vectors = torch.linalg.eigh(V_y)
        return D_y + matvec(vectors, values.clamp_min(0).sqrt() * self.sampler.noise(len(D_y)))


class LevelKernel:
    """Guided ancestral kernel, and a twist whose covariance depends only on the level; W is the whitened operator."""

    def __init__(self, sampler: TDS):
        self.sampler = sampler
        V, s = sampler.data.V, sampler.data.s
        if sampler.components is not None:
            vectors, self.variances = (t.to(V) for t in sampler.components)
            self.WU = s[:, None] * (V.T @ vectors.flatten(1).T)  # (N, K): the whitened data of the components

    def solve(self, r: Tensor, sigma: float) -> Tensor:
        """(1 + W V_s W')^-1 r, shape of r, `(B, N)`: diagonal, plus the Woodbury identity for the components."""
        s, P = self.sampler.data.s, self.sampler.white
        white = sigma**2 * P / (P + sigma**2)
        diagonal = 1 + white * s**2
        u = r / diagonal
        if self.sampler.components is None:
            return u
        extra = (sigma**2 * self.variances / (self.variances + sigma**2) - white).clamp_min(1e-12)
        B = self.WU / diagonal[:, None]
        inner = torch.diag(1 / extra) + self.WU.T @ B
        return u - torch.linalg.solve(inner, (u @ self.WU).T).T @ B.T

    def state(self, x: Tensor, sigma: float) -> tuple[tuple[Tensor, ...], Tensor]:
        """(D, grad log psi), each `(B, D)`, and log psi `(B,)`."""
        f = self.sampler.data
        D, vjp = self.sampler.prior.denoise_vjp(x, sigma)
        r = f.d - f.s * (D @ f.V)
        u, gradient = self.gradient(r, D, sigma, vjp)
        return (D, gradient), -0.5 * (r * u).sum(1)

    def gradient(self, r: Tensor, D: Tensor, sigma: float, vjp) -> tuple[Tensor, Tensor]:
        """(1 + W V_s W')^-1 r and grad log psi."""
        u = self.solve(r, sigma)
        return u, vjp((self.sampler.data.s * u) @ self.sampler.data.V.T)

    def posterior_mean(self, state, x: Tensor, sigma: float) -> Tensor:
        return state[0] + sigma**2 * state[1]

    def move(self, x: Tensor, state, s: float, r: float) -> tuple[Tensor, Tensor]:
        D, gradient = state
        c = 1 - (r / s) ** 2
        eps, shift, width = self.sampler.noise(len(x)), c * s**2 * gradient, r * math.sqrt(c)
        x_r = (1 - c) * x + c * D + shift + width * eps
        log_ratio = 0.5 * (eps.square() - (eps + shift / width).square()).sum(1)
        return x_r, log_ratio

    def last_weight(self, state, log_psi: Tensor) -> Tensor:
        """Replaces psi by the exact likelihood of the denoised particles, `(B,)`."""
        f, D = self.sampler.data, state[0]
        return (-0.5 * (f.d - f.s * (D @ f.V)).square().sum(1) - log_psi).double()

    def ended(self, state) -> Tensor:
        """The denoised particles."""
        return state[0]


class MomentKernel(LevelKernel):
    """The level kernel with Tweedie's covariance of each particle, by conjugate gradients."""

    def gradient(self, r: Tensor, D: Tensor, sigma: float, vjp) -> tuple[Tensor, Tensor]:
        p = self.sampler
        u, g = tweedie_gradient(p.data, D, vjp, sigma, p.precondition, p.cg_steps, 1e-3)
        return u, g + torch.zeros_like(D)
