r"""Variational inference with a score prior: the exact density, or the surrogate bound.

A Gaussian q is fitted to the posterior by descending the Kullback-Leibler divergence

.. math:: KL = E_{x \sim q} \big[ \tfrac12 \|\Sigma^{-1/2} (y - A x)\|^2 - \log p(x) \big] - H[q]

and the samples are draws of it. The prior's log density is one of (:mod:`skyscore.samplers.log_density`)

- `prior_term="surrogate"`: its evidence lower bound b(x), at one random noise level a step (Feng & Bouman 2024);
- `prior_term="ode"`: the probability flow's own, by Hutchinson's trace and through all steps of the flow (Feng et al.
  2023). A step of the optimiser costs `flow_steps` evaluations and, for each two of them, 5 vector-Jacobian products:
  one of the trace, two back through the denoiser and two through the trace.

q is :math:`x = m_0 + S_0^{1/2} (\mu + L z)` with z standard normal and :math:`N(m_0, S_0)` the posterior of a white
prior, of the prior's mean variance, where it starts: what it learns is of order one in every direction. L is
triangular, or diagonal plus `rank` columns that have a z of their own.

For a Gaussian prior, a full L and a perfect denoiser both densities are exact and q ends at the posterior (tested), up
to the blur of the last level, :math:`p_{\sigma_\mathrm{min}}` in place of p, and the noise of the steps.

Known failure: the family. The divergence is reverse: on a posterior of several modes q keeps to one, whatever the
number of steps; on one that is not Gaussian it is too narrow. Where the denoiser is no perfect one b has a gap, which
favours images that the denoiser likes.

References: Feng et al. (2023), "Score-Based Diffusion Models as Principled Priors for Inverse Imaging",
arXiv:2304.11751; Feng & Bouman (2024), "Variational Bayesian Imaging with an Efficient Surrogate Score-based
Prior", arXiv:2309.01949; their code for the bound's last level. Deviations: variance-exploding coordinates;
a Gaussian family (theirs: RealNVP, or a diagonal Gaussian); the start; a step size that falls to zero; hundreds of
steps (theirs: 20,000).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .base import Sampler
from .log_density import bound_term, flow_log_density

__all__ = ["ScoreVI"]

FULL_LIMIT = 256  # pixels up to which L is a full triangle by default
GOLDEN = (math.sqrt(5) - 1) / 2


class ScoreVI(Sampler):
    """Creates the sampler.

    Arguments:
        steps: evaluations in all per image of a step; with the surrogate, steps of the optimiser.
        prior_term: "surrogate" or "ode", see above.
        family: "full" or "low-rank"; by default the first up to 256 pixels, then the second.
        rank: columns beside the diagonal, of the second; 0 for a diagonal Gaussian.
        draws: images per step of the optimiser; as many as samples by default, so that `steps` is what each one costs.
        flow_steps: evaluations of a flow, two for each of its steps, if prior_term is "ode".
        lr: step size at the start (Adam), in units of the start's standard deviations.
    """

    name = "scorevi"
    reference = "Feng et al. (2023), arXiv:2304.11751; Feng & Bouman (2024), arXiv:2309.01949"
    failure = "reverse divergence: one mode, too narrow where the posterior is not Gaussian"
    needs_vjp = True
    joint = False
    exact_for = "Gaussian priors, as the steps go to infinity"

    def __init__(
        self,
        *,
        prior_term: str = "surrogate",
        family: str | None = None,
        rank: int = 16,
        draws: int | None = None,
        flow_steps: int = 16,
        lr: float = 0.05,
        **options,
    ):
        super().__init__(**options)
        if prior_term not in ("surrogate", "ode"):
            raise ValueError(f'scorevi: prior_term must be "surrogate" or "ode", not {prior_term!r}')
        if family not in (None, "full", "low-rank"):
            raise ValueError(f'scorevi: family must be "full" or "low-rank", not {family!r}')
        if rank < 0 or flow_steps < 2 or not lr > 0 or (draws is not None and draws < 1):
            raise ValueError(
                f"scorevi: need rank >= 0, flow_steps >= 2, lr > 0 and draws >= 1, "
                f"not {rank}, {flow_steps}, {lr}, {draws}"
            )
        self.prior_term, self.family, self.rank, self.draws = prior_term, family, rank, draws
        self.flow_steps, self.lr = flow_steps, lr

    def prepare(self, sigma_max: float) -> None:
        self.white = self.white_variance(sigma_max)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        self.top, self.low = sigmas[0], sigmas[-1]
        ode, draws = self.prior_term == "ode", self.draws or n
        iterations = max(len(sigmas) // self.flow_steps, 1) if ode else len(sigmas)
        full = self.family == "full" or (self.family is None and self.dim <= FULL_LIMIT)
        q = Gaussian(self, full)
        adam = torch.optim.Adam(q.parameters, lr=self.lr, betas=(0.9, 0.99))
        anneal = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations)
        offset, trail = float(torch.rand(1, generator=self.generators[0], device=self.centre.device)), []
        with torch.enable_grad():
            for i in self.bar(range(iterations)):
                x = q.draw(draws)
                # levels of a low-discrepancy sequence: all of them are visited evenly, in any number of steps
                term = self.flow_term(x) if ode else self.surrogate_term(x, (offset + i * GOLDEN) % 1)
                misfit = 0.5 * (self.data.d - self.data.s * (x @ self.data.V)).square().sum(1)
                loss = (misfit - term).mean() - q.entropy()
                trail.append(loss.detach())
                # the parameters of q alone: a network in the graph keeps its own gradients clean
                gradients = torch.autograd.grad(loss, q.parameters)
                for parameter, gradient in zip(q.parameters, gradients, strict=True):
                    parameter.grad = gradient
                adam.step()
                anneal.step()
        late = torch.stack(trail[-max(len(trail) // 5, 1) :])
        self.diagnostics |= {"iterations": iterations, "evidence_bound": -float(late.mean())}
        with torch.no_grad():
            return q.draw(n)

    def surrogate_term(self, x: Tensor, u: float) -> Tensor:
        """An estimate of b(x), `(B,)`, from the level at the quantile u."""
        self.prior.nvjp += len(x)
        return bound_term(self.prior.denoise_in_graph, x, self.noise, self.centre, self.low, self.top, u)

    def flow_term(self, x: Tensor) -> Tensor:
        """log p(x), `(B,)`, with one probe of the trace."""
        before = self.prior.nfe
        value = flow_log_density(
            self.prior.denoise_in_graph,
            x,
            self.noise(len(x)).sign(),
            self.centre,
            self.low,
            self.top,
            self.white,
            self.flow_steps,
        )
        self.prior.nvjp += 5 * (self.prior.nfe - before) // 2
        return value


class Gaussian:
    """The variational family, see the head of the module; its parameters are leaves of autograd's graph."""

    def __init__(self, sampler: ScoreVI, full: bool):
        self.sampler, self.full = sampler, full
        f, P, D = sampler.data, sampler.white, sampler.dim
        self.V, self.P = f.V, P
        self.shrink = (1 + P * f.s**2).rsqrt()  # S_0^1/2 = sqrt(P) [1 + V (shrink - 1) V']
        residual = f.d - f.s * (sampler.centre @ f.V)
        self.m0 = sampler.centre + (P * f.s * residual / (1 + P * f.s**2)) @ f.V.T
        like = sampler.like
        self.mu = torch.zeros(1, D, **like, requires_grad=True)
        self.log_scale = torch.zeros(D, **like, requires_grad=True)
        columns = D if full else sampler.rank
        start = torch.zeros(D, columns, **like)
        if not full and columns:  # columns of zeros would get no gradient
            start = 0.1 * torch.randn(D, columns, generator=sampler.probes, **like) / math.sqrt(D)
        self.rest = start.requires_grad_()
        self.parameters = [self.mu, self.log_scale] + ([self.rest] if columns else [])

    def draw(self, n: int) -> Tensor:
        """n draws `(n, D)`."""
        p = self.sampler
        z = p.noise(n)
        w = self.mu + self.log_scale.exp() * z
        if self.full:
            w = w + z @ self.rest.tril(-1).T
        elif p.rank:
            w = w + torch.randn(n, p.rank, generator=p.generators[0], **p.like) @ self.rest.T
        return self.m0 + math.sqrt(self.P) * (w + ((self.shrink - 1) * (w @ self.V)) @ self.V.T)

    def entropy(self) -> Tensor:
        """H[q] in nats."""
        D = self.mu.shape[1]
        start = 0.5 * D * (1 + math.log(2 * math.pi * self.P)) + self.shrink.log().sum()
        total = start + self.log_scale.sum()
        if not self.full and self.sampler.rank:  # log det(S + U U') = log det S + log det(1 + U' S^-1 U)
            U = self.rest * (-self.log_scale).exp()[:, None]
            total = total + 0.5 * torch.logdet(
                torch.eye(U.shape[1], dtype=U.dtype, device=U.device) + U.T @ U
            )
        return total
