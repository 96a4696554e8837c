r"""The log density of a prior from its denoiser: exactly by the probability flow, or as a lower bound.

Let :math:`x_\sigma = x + \sigma \epsilon`, with levels from :math:`\sigma_0` to T. The law at T is taken as
:math:`N(\mu, T^2)`, where :math:`\mu` is the prior's mean. The coordinates are variance exploding.

**The flow.** Along :math:`dx / d \log \sigma = x - D(x, \sigma)`, started at x at the level :math:`\sigma_0`,

.. math::
    \log p_{\sigma_0}(x) = \log p_T(x_T)
        + \int \big[ d - \mathrm{tr} \, \partial D / \partial x \big] \, d \log \sigma

with Hutchinson's estimate of the trace, :math:`E[v^\top J v]` for random signs v. The flow is integrated in the
coordinates :math:`u = (x - \mu) / \sqrt{\sigma^2 + P}`, in which a white prior of variance P is constant, with
midpoint steps in :math:`\log \sigma`. Therefore :math:`p_T` is taken as :math:`N(\mu, T^2 + P)`.

**The bound.** The evidence lower bound of the reverse SDE becomes

.. math::
    b(x) = - \tfrac d2 \log 2 \pi \sigma_0^2 - \frac{\|x - \mu\|^2}{2 T^2} - \tfrac12 h(\sigma_0)
        - \int_{\sigma_0}^T h(\sigma) \, d \log \sigma, \qquad
    h(\sigma) = E_\epsilon \, \frac{\|D(x_\sigma, \sigma) - x\|^2}{\sigma^2}

The first three terms describe the start of the reverse SDE at T and the Gaussian that it ends with, of mean
:math:`D(x_{\sigma_0})` and variance :math:`\sigma_0^2`. b is a lower bound of the log density of that generator for
any denoiser. For a perfect denoiser it equals the log density of the prior, up to :math:`\sigma_0` and T.

References: Song et al. (2021), "Score-Based Generative Modeling through Stochastic Differential Equations",
arXiv:2011.13456, appendix D.2 (the flow); Song et al. (2021), "Maximum Likelihood Training of Score-Based Diffusion
Models", arXiv:2101.09258 (the bound); Feng et al. (2023), arXiv:2304.11751 and Feng & Bouman (2024),
arXiv:2309.01949 (both as priors of images).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["bound_term", "flow_log_density"]

Denoise = Callable[[Tensor, float], Tensor]


def bound_term(
    denoise: Denoise,
    x: Tensor,
    noise: Callable[[int], Tensor],
    mean: Tensor,
    low: float,
    top: float,
    u: float,
) -> Tensor:
    """An estimate of b(x) from one noise level; its mean over u, uniform in (0, 1), and over the noise is b(x).

    Arguments:
        denoise: function (x, sigma) -> E[x0 | x].
        x: images `(B, D)`; the result can be differentiated with respect to them.
        noise: function n -> standard normal noise `(n, D)`.
        mean: mean of the prior, `(1, D)`.
        low, top: sigma_0 and T.
        u: quantile of the level; the first 1/2 of the total length 1/2 + log T / sigma_0 is at the last level.

    Returns:
        estimate of b, shape `(B,)`, in nats.
    """
    length = 0.5 + math.log(top / low)
    sigma = low * math.exp(max(length * u - 0.5, 0.0))
    h = (denoise(x + sigma * noise(len(x)), sigma) - x).square().sum(1) / sigma**2
    ends = 0.5 * x.shape[1] * math.log(2 * math.pi * low**2) + (x - mean).square().sum(1) / (2 * top**2)
    return -ends - length * h


def flow_log_density(
    denoise: Denoise,
    x: Tensor,
    probe: Tensor,
    mean: Tensor,
    low: float,
    top: float,
    variance: float,
    evaluations: int,
) -> Tensor:
    """log p_low(x) of the probability flow, with `evaluations` // 2 midpoint steps.

    Arguments:
        denoise: differentiable function (x, sigma) -> E[x0 | x].
        x: images `(B, D)`; the result can be differentiated with respect to them.
        probe: random signs `(B, D)` for the trace; in one dimension the trace is exact.
        mean: mean of the prior, `(1, D)`.
        low, top: first and last level.
        variance: P, variance of the prior per pixel; the flow of a white prior of this variance has no error.
        evaluations: evaluations of the denoiser, two per step.

    Returns:
        log density, shape `(B,)`, in nats.
    """
    D = x.shape[1]

    def flow(u: Tensor, log_sigma: float) -> tuple[Tensor, Tensor, Tensor]:
        """du / dlog sigma, and the image and its E[x0] there."""
        sigma = math.exp(log_sigma)
        width = math.sqrt(sigma**2 + variance)
        x = mean + width * u
        y = denoise(x, sigma)
        return (x - y) / width - sigma**2 / width**2 * u, x, y

    def divergence(x: Tensor, y: Tensor, log_sigma: float) -> Tensor:
        """Divergence of the flow, relative to that of the white prior."""
        trace = (torch.autograd.grad((y * probe).sum(), x, create_graph=True)[0] * probe).sum(1)
        return D * variance / (math.exp(2 * log_sigma) + variance) - trace

    with torch.enable_grad():
        x = x if x.requires_grad else x.detach().requires_grad_()
        steps = max(evaluations // 2, 1)
        h = math.log(top / low) / steps
        u = (x - mean) / math.sqrt(low**2 + variance)
        gained: Tensor | float = 0.0
        for i in range(steps):
            at = math.log(low) + i * h
            middle = u + 0.5 * h * flow(u, at)[0]
            du, x_h, y_h = flow(middle, at + 0.5 * h)
            u, gained = u + h * du, gained + h * divergence(x_h, y_h, at + 0.5 * h)
    # log determinant of the white prior's flow, and the law at T in units of u
    width = 0.5 * D * math.log(2 * math.pi * (low**2 + variance))
    return -0.5 * u.square().sum(1) - width + gained
