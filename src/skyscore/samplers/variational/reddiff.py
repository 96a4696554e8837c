r"""Regularisation by denoising with diffusion (RED-diff).

Variational inference with a point: each sample is a separate image :math:`\mu` that minimises

.. math::
    \tfrac12 \|\Sigma^{-1/2} (y - A \mu)\|^2 + E_{\sigma, \epsilon} \big[ \lambda_\sigma \,
        \mathrm{sg}[\hat\epsilon(x_\sigma) - \epsilon]^\top \mu \big], \quad
    x_\sigma = \mu + \sigma \epsilon, \quad \hat\epsilon = \frac{x_\sigma - D(x_\sigma)}{\sigma}

by gradient descent (sg: held fixed). The prior pulls with :math:`\lambda_\sigma (\mu - D(x_\sigma)) / \sigma`, which
costs one evaluation per step and no derivative of the network. The paper's weight is
:math:`\lambda_\sigma = \lambda / \mathrm{SNR}`, which is :math:`\lambda \sigma` in variance-exploding coordinates.
The levels fall from step to step, or are drawn at random.

For a prior N(m, C) and random levels every :math:`\mu` ends at the same point, that of a prior precision

.. math::
    \Lambda = E_\sigma \big[ \lambda_\sigma \, \sigma \, (C + \sigma^2)^{-1} \big], \qquad
    \mu_* = m + (\Lambda + A^\top \Sigma^{-1} A)^{-1} A^\top \Sigma^{-1} (y - A m)

up to the noise of the steps (tested). No weight makes :math:`\Lambda = C^{-1}` for every C: the point is neither the
posterior's mean nor its maximum.

Known failure: mode seeking. The samples have no posterior spread; their spread is the noise of the optimiser. With
falling levels the pull of the prior vanishes at the end, and data with high S/N are fitted with their noise.

Reference: Mardani et al. (2023), "A Variational Perspective on Solving Inverse Problems with Diffusion Models",
arXiv:2305.04391, algorithm 1; their code for the weights. Deviations: variance-exploding coordinates; the data term
is the likelihood's (theirs is a weighted mean square); the start is the pseudo-inverse damped by the first level.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skyscore.samplers.base import Sampler

__all__ = ["REDDiff"]

# functions of 1 / SNR = sigma, as in the paper's code
WEIGHTS = {
    "linear": lambda s: s,
    "sqrt": lambda s: s**0.5,
    "square": lambda s: s**2,
    "log": lambda s: torch.log1p(s),
    "trunc_linear": lambda s: s.clamp_max(1),
    "power2over3": lambda s: s ** (2 / 3),
    "const": torch.ones_like,
}


class REDDiff(Sampler):
    """The RED-diff sampler.

    Arguments:
        steps: steps of the optimiser, with one evaluation each; the paper uses 1,000.
        lam: lambda, the weight of the prior.
        weight: dependence of the weight on sigma: "linear", "sqrt", "square", "log", "trunc_linear", "power2over3" or
            "const".
        order: "descending" or "random" levels.
        lr: learning rate of the optimiser (Adam, betas 0.9 and 0.99), in prior units.
        sigma_x0: standard deviation of x0 around mu, in prior units.

    Raises:
        ValueError: for an unknown weight or order, or an option outside its range.
    """

    name = "reddiff"
    reference = "Mardani et al. (2023), arXiv:2305.04391"
    failure = "mode seeking: the samples have no posterior spread"

    def __init__(
        self,
        *,
        lam: float = 0.25,
        weight: str = "linear",
        order: str = "descending",
        lr: float = 0.1,
        sigma_x0: float = 0.0001,
        **options,
    ):
        super().__init__(**options)
        if weight not in WEIGHTS:
            raise ValueError(f"reddiff: weight must be one of {', '.join(WEIGHTS)}, not {weight!r}")
        if order not in ("descending", "random"):
            raise ValueError(f'reddiff: order must be "descending" or "random", not {order!r}')
        if not (lam >= 0 and lr > 0 and sigma_x0 >= 0):
            raise ValueError(f"reddiff: need lam >= 0, lr > 0 and sigma_x0 >= 0, not {lam}, {lr}, {sigma_x0}")
        self.lam, self.weight, self.order, self.lr, self.sigma_x0 = lam, weight, order, lr, sigma_x0

    def run(self, sigmas: list[float], n: int) -> Tensor:
        f = self.data
        levels = torch.tensor(sigmas, dtype=torch.float64)
        pull = (self.lam * WEIGHTS[self.weight](levels)).tolist()
        order = torch.arange(len(sigmas))
        if self.order == "random":  # the same for all observations of a batch
            order = torch.randint(
                len(sigmas), (len(sigmas),), generator=self.probes, device=self.probes.device
            )
        mu = self.centre + (f.s * (f.d - f.s * (self.centre @ f.V)) / (f.s**2 + sigmas[0] ** -2)) @ f.V.T
        mu = mu.expand(n, -1).clone()
        adam = torch.optim.Adam([mu], lr=self.lr, betas=(0.9, 0.99))
        for i in self.bar(order.tolist()):
            x0 = mu + self.sigma_x0 * self.noise(n)
            D = self.prior.denoise(x0 + sigmas[i] * self.noise(n), sigmas[i])
            mu.grad = pull[i] / sigmas[i] * (x0 - D) - self.likelihood_score(x0, 0.0)
            adam.step()
        return mu
