r"""Variational inference with a score prior: with the exact log density, or with a surrogate bound.

A distribution q is fitted to the posterior by minimising the Kullback-Leibler divergence

.. math:: KL = E_{x \sim q} \big[ \tfrac12 \|\Sigma^{-1/2} (y - A x)\|^2 - \log p(x) \big] - H[q]

and the samples are draws of q. The prior's log density is one of (:mod:`skyscore.samplers.variational.log_density`)

- `prior_term="surrogate"`: its evidence lower bound b(x), at one random noise level per step (Feng & Bouman 2024);
- `prior_term="ode"`: that of the probability flow, with Hutchinson's trace and through all steps of the flow (Feng et
  al. 2023). A step of the optimiser costs `flow_steps` evaluations and, for each two of them, 5 vector-Jacobian
  products: one for the trace, two back through the denoiser and two through the trace.

q is the distribution of :math:`x = m_0 + S_0^{1/2} w`. Here :math:`N(m_0, S_0)`, the starting point, is the
posterior of a white prior with the prior's mean variance, and w belongs to one of three families
(:mod:`skyscore.samplers.variational.families`, :mod:`skyscore.samplers.variational.flows`):

- `family="full"`: Gaussian, with a triangular factor of its covariance;
- `family="low-rank"`: Gaussian, with a diagonal plus `rank` columns;
- `family="realnvp"`: a flow of affine couplings, as in the papers, which need not be Gaussian. Its own arithmetic is
  not part of the counted evaluations, which are those of the denoiser.

For a Gaussian prior and a perfect denoiser both densities are exact and the full family converges to the posterior
(tested), up to the blur of the last level, :math:`p_{\sigma_\mathrm{min}}` in place of p, and the noise of the steps.
The flow fits curved posteriors, and modes that are not far apart, better than any Gaussian (tested), but learns
slowly: on the 64 pixels of the exact benchmark it is worse than the full Gaussian after a thousand steps if the
posterior has one mode; if it has several, either can be better. A Gaussian is therefore the default.

Known failure: the family. The divergence is reverse: of modes that are far apart every family here keeps one, for any
number of steps. A Gaussian is too narrow for a posterior that is not Gaussian. For an imperfect denoiser b has a gap,
which favours images that the denoiser prefers.

References: Feng et al. (2023), "Score-Based Diffusion Models as Principled Priors for Inverse Imaging",
arXiv:2304.11751; Feng & Bouman (2024), "Variational Bayesian Imaging with an Efficient Surrogate Score-based
Prior", arXiv:2309.01949; their code for the bound's last level and the flow. Deviations: variance-exploding
coordinates; Gaussians with correlations (theirs: RealNVP of 32 blocks, or a diagonal Gaussian); the start; a step
size that falls to zero (theirs: rises to 1e-5, gradients clipped); hundreds of steps (theirs: 20,000).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skyscore.samplers.base import Sampler

from .families import Gaussian, WhitePosterior
from .flows import RealNVP
from .log_density import bound_term, flow_log_density

__all__ = ["ScoreVI"]

FAMILIES = ("full", "low-rank", "realnvp")
LEAST_WIDTH = 64  # smallest default number of hidden units
FULL_LIMIT = 256  # largest number of pixels for which the default L is a full triangle
GOLDEN = (math.sqrt(5) - 1) / 2


class ScoreVI(Sampler):
    """The variational sampler with a score prior.

    Arguments:
        steps: total number of evaluations per image of an optimiser step; with the surrogate, steps of the optimiser.
        prior_term: "surrogate" or "ode", see the module.
        family: "full", "low-rank" or "realnvp"; by default "full" up to 256 pixels, "low-rank" above.
        rank: columns beside the diagonal of "low-rank"; 0 for a diagonal Gaussian.
        draws: images per step of the optimiser; by default the number of samples, so that `steps` is the cost of each
            sample.
        flow_steps: evaluations of a flow, two per step of the flow, if prior_term is "ode".
        blocks: blocks of "realnvp", of two couplings each.
        width: hidden units of "realnvp"; by default an eighth of the pixels, at least 64.
        lr: initial learning rate (Adam). By default 0.05 for a Gaussian, in units of the initial standard
            deviations; for the weights of "realnvp" 0.04 divided by the square root of the number of pixels, at most
            0.01.

    Raises:
        ValueError: for an unknown prior_term or family, or an option outside its range.
    """

    name = "scorevi"
    reference = "Feng et al. (2023), arXiv:2304.11751; Feng & Bouman (2024), arXiv:2309.01949"
    failure = "keeps one of several distant modes; too narrow if the posterior is outside the family"
    needs_vjp = True
    joint = False
    exact_for = "Gaussian priors, in the limit of many steps"

    def __init__(
        self,
        *,
        prior_term: str = "surrogate",
        family: str | None = None,
        rank: int = 16,
        draws: int | None = None,
        flow_steps: int = 16,
        blocks: int = 8,
        width: int | None = None,
        lr: float | None = None,
        **options,
    ):
        super().__init__(**options)
        if prior_term not in ("surrogate", "ode"):
            raise ValueError(f'scorevi: prior_term must be "surrogate" or "ode", not {prior_term!r}')
        if family not in (None, *FAMILIES):
            raise ValueError(f"scorevi: family must be one of {', '.join(FAMILIES)}, not {family!r}")
        least = {
            "rank": (rank, 0),
            "draws": (draws, 1),
            "flow_steps": (flow_steps, 2),
            "blocks": (blocks, 1),
            "width": (width, 1),
        }
        for key, (value, bound) in least.items():
            if value is not None and value < bound:
                raise ValueError(f"scorevi: {key} must be at least {bound}, not {value}")
        if lr is not None and not lr > 0:
            raise ValueError(f"scorevi: lr must be greater than 0, not {lr}")
        self.prior_term, self.family, self.rank, self.draws = prior_term, family, rank, draws
        self.flow_steps, self.blocks, self.width, self.lr = flow_steps, blocks, width, lr

    def prepare(self, sigma_max: float) -> None:
        self.white = self.white_variance(sigma_max)

    def run(self, sigmas: list[float], n: int) -> Tensor:
        self.top, self.low = sigmas[0], sigmas[-1]
        ode, draws = self.prior_term == "ode", self.draws or n
        iterations = max(len(sigmas) // self.flow_steps, 1) if ode else len(sigmas)
        family = self.family or ("full" if self.dim <= FULL_LIMIT else "low-rank")
        self.origin, self.q = WhitePosterior(self, self.white), self.law(family)
        q = self.q
        adam = torch.optim.Adam(q.parameters, lr=self.lr or self.step(family), betas=(0.9, 0.99))
        anneal = torch.optim.lr_scheduler.CosineAnnealingLR(adam, iterations)
        offset, trail = float(torch.rand(1, generator=self.generators[0], device=self.centre.device)), []
        with torch.enable_grad():
            for i in self.bar(range(iterations)):
                w, entropy = q.draw(self.noise(draws, q.inputs))
                x = self.origin.image(w)
                # levels from a low-discrepancy sequence: evenly spread for any number of steps
                term = self.flow_term(x) if ode else self.surrogate_term(x, (offset + i * GOLDEN) % 1)
                misfit = 0.5 * (self.data.d - self.data.s * (x @ self.data.V)).square().sum(1)
                loss = (misfit - term).mean() - entropy - self.origin.log_det
                trail.append(loss.detach())
                # gradients of the parameters of q only: the network in the graph accumulates none
                gradients = torch.autograd.grad(loss, q.parameters)
                for parameter, gradient in zip(q.parameters, gradients, strict=True):
                    parameter.grad = gradient
                adam.step()
                anneal.step()
        late = torch.stack(trail[-max(len(trail) // 5, 1) :])
        self.diagnostics |= {"iterations": iterations, "evidence_bound": -float(late.mean())}
        with torch.no_grad():
            return self.origin.image(q.draw(self.noise(n, q.inputs))[0])

    def law(self, family: str) -> Gaussian | RealNVP:
        """q at its start."""
        if family == "realnvp":
            width = self.width or max(self.dim // 8, LEAST_WIDTH)
            return RealNVP(self.dim, self.blocks, width, self.probes, self.like)
        return Gaussian(self.dim, None if family == "full" else self.rank, self.probes, self.like)

    def step(self, family: str) -> float:
        """The default learning rate; with larger ones, flows of a thousand pixels end far from the posterior."""
        return min(0.04 / math.sqrt(self.dim), 0.01) if family == "realnvp" else 0.05

    def surrogate_term(self, x: Tensor, u: float) -> Tensor:
        """An estimate of b(x), `(B,)`, in nats, from the noise level at the quantile u."""
        self.prior.nvjp += len(x)
        return bound_term(self.prior.denoise_in_graph, x, self.noise, self.centre, self.low, self.top, u)

    def flow_term(self, x: Tensor) -> Tensor:
        """log p(x), `(B,)`, in nats, with one probe of the trace."""
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
