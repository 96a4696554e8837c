r"""Noise levels and the step between two of them.

From level s to r < s, with D = E[x0 | x_s] at either end,

.. math::
    x_r = \tfrac{r^2}{s^2} x_s + \Big(1 - \tfrac{r^2}{s^2}\Big) D_s + r \sqrt{1 - r^2/s^2} \, \epsilon
        + k \, (D_r - D_s)

The first three terms are the ancestral step, which takes D as constant and so leaves out the spread of x0 around D:
samples come out too narrow (0.83 / 0.96 / 0.98 of the prior variance at 64 / 250 / 1000 steps). The last is a
correction; D_r is evaluated at the ancestral prediction, with the same noise, and serves the next step too, so that a
step still costs one evaluation (predict, evaluate, correct). With :math:`h = \log s/r` every :math:`k = h + O(h^2)` is
of second order. That freedom is used to make the variance right for Gaussian priors of any width, for which the step is
a linear map with a closed form:

- :math:`k = [(s/r)^{3/2} - 1] / (3/2)` in a chain that starts at a high level: 0.976 / 0.999 / 1.001 of the prior
  variance at 20 / 32 / 64 steps from 20 to 0.001 (the solver's own weight, :math:`1 - (1 - r^2/s^2) / 2h`, gives
  0.75 / 0.89 / 0.97);
- :math:`k = [(s/r)^3 - 1] / 3` in a short run that starts without any spread at a known point z, for x0 given
  x_s = z: see :func:`short`.

References: Ho et al. (2020), arXiv:2006.11239, eq. 6 (ancestral); Xue et al. (2023), "SA-Solver", arXiv:2309.05019
(stochastic predictor-corrector in lambda); Karras et al. (2022), arXiv:2206.00364 (levels, Heun step of the ODE).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable

from torch import Tensor

__all__ = ["ancestral", "correction", "geometric", "heun", "karras", "short", "spread"]


def geometric(steps: int, sigma_max: float, sigma_min: float) -> list[float]:
    """`steps` levels from sigma_max down to sigma_min, equally spaced in their logarithm."""
    if steps < 2 or not sigma_max > sigma_min > 0:
        raise ValueError(
            f"need steps >= 2 and sigma_max > sigma_min > 0, not {steps}, {sigma_max}, {sigma_min}"
        )
    ratio = math.log(sigma_min / sigma_max) / (steps - 1)
    return [sigma_max * math.exp(i * ratio) for i in range(steps)]


def short(steps: int, sigma: float) -> list[float]:
    """`steps` levels of a run from a known point: equal steps in log sigma, down to 0.9 sigma / steps.

    With the weight `spread`, x0 given x_sigma keeps 0.96 to 1.03 (6 steps) or 0.97 to 1.03 (8) of its
    variance for Gaussian priors of variance 0.3 to 100 sigma^2, and its mean exactly.
    """
    return [sigma * (0.9 / steps) ** (i / (steps - 1)) for i in range(steps)]


def karras(steps: int, sigma_max: float, sigma_min: float, rho: float = 7.0) -> list[float]:
    """Levels equally spaced in sigma^(1/rho): Karras et al. (2022), eq. 5."""
    a, b = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
    return [(a + i / (steps - 1) * (b - a)) ** rho for i in range(steps)]


def ancestral(x: Tensor, D: Tensor, s: float, r: float, noise: Tensor) -> Tensor:
    """The ancestral step from level s to r, shape of x, given standard normal noise."""
    c = 1 - (r / s) ** 2
    return (1 - c) * x + c * D + r * math.sqrt(c) * noise


def correction(s: float, r: float) -> float:
    """Weight of D_r - D_s in the step above, for chains from a high level."""
    return ((s / r) ** 1.5 - 1) / 1.5


def spread(s: float, r: float) -> float:
    """The same for short runs from a known point."""
    return ((s / r) ** 3 - 1) / 3


def heun(denoise: Callable[[Tensor, float], Tensor], x: Tensor, sigmas: Iterable[float]) -> Tensor:
    """Solves the probability-flow ODE dx/dsigma = (x - D)/sigma along the levels and ends with D: prior samples.

    Costs `2 * len(sigmas) - 1` evaluations.
    """
    sigmas = list(sigmas)
    for s, r in itertools.pairwise(sigmas):
        d = (x - denoise(x, s)) / s
        x_r = x + (r - s) * d
        x = x + (r - s) * 0.5 * (d + (x_r - denoise(x_r, r)) / r)
    return denoise(x, sigmas[-1])
