r"""Denoising diffusion null-space model for noisy data (DDNM+).

The data replace the denoiser's estimate wherever their noise is small enough for the current level. Let :math:`s_i`
be a singular value of :math:`\Sigma^{-1/2} A`. Along its singular vector the data measure :math:`\bar y_i = d_i /
s_i` with the error :math:`\tau_i = 1 / s_i`, and

.. math:: \hat x_0 = D + \lambda_i (\bar y_i - D), \qquad \lambda_i = \min(1, m / \tau_i)

In the null space :math:`\hat x_0 = D`. The step from level s to r adds less noise along observed directions: the
noise that came with the data is subtracted, so that the total is what the denoiser expects. `step="ddim"`, the step
of InverseBench, is

.. math:: m = r, \quad x_r = \hat x_0 + \sqrt{1 - \eta^2} \, \tfrac rs (x_s - \hat x_0)
    + \eta \sqrt{r^2 - (\lambda_i \tau_i)^2} \; \epsilon

`step="ddpm"`, the step of the paper, is, with :math:`a = 1 - r^2 / s^2, \; q = r^2 a`,

.. math:: m = \sqrt q / a, \quad x_r = (1 - a) x_s + a \hat x_0 + \sqrt{q - (a \lambda_i \tau_i)^2} \; \epsilon

Time travel: after `travel` levels a chain is noised back to where it started and goes down again, `repeats` times in
total. The number of levels is smaller by the same factor, so that the number of evaluations stays the same.

The coordinates are variance exploding, x_t = x0 + sigma_t eps. The method treats the noise in the data as part of the
sample's noise, although it is the same for all samples; each sample adds only the remainder. With many levels, all
samples therefore agree in every direction that the data constrain, and converge to :math:`\bar y_i` with its noise.
The method restores images; it does not sample a posterior. Without data it is the reverse SDE ("ddpm"), or too
narrow by the same factor as DDRM ("ddim").

Reference: Wang et al. (2022), "Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model",
arXiv:2212.00490, eq. 17 and the method for noisy data with time travel; the form in singular vectors is that of its
appendix. "ddim": InverseBench (Zheng et al. 2025, arXiv:2503.11043), with one :math:`\tau` for all directions there.
Deviations: any noise covariance, by whitening. Along observed directions the authors' own code uses the step of DDRM
(:mod:`skyscore.samplers.guidance.ddrm`) with :math:`\eta_b = 1`, that is, without predicted noise: :math:`\sqrt{r^2 -
\tau_i^2}` of fresh noise where :math:`\tau_i \le r`, otherwise :math:`\eta \, r` of it and
:math:`\lambda_i = \sqrt{1 - \eta^2} \, r / \tau_i`. Its time travel noises the last denoised image, not the chain.
"""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from skyscore.diffusion.schedule import geometric
from skyscore.samplers.base import Sampler

__all__ = ["DDNM"]


class DDNM(Sampler):
    """The DDNM+ sampler.

    Arguments:
        step: "ddim" or "ddpm", see the module.
        eta: share of fresh noise in a "ddim" step, 0 to 1.
        travel: number of levels in one time travel.
        repeats: number of passes over each of these stretches; 1 means no time travel.

    Raises:
        ValueError: for an unknown step, or an option outside its range.
    """

    name = "ddnm"
    reference = "Wang et al. (2022), arXiv:2212.00490, eq. 17"
    failure = "with many steps all samples agree where there are data; too narrow elsewhere (eta > 0)"
    exact_for = 'the prior, if there are no data (step "ddpm", or eta 0), in the limit of many steps'

    def __init__(
        self, *, step: str = "ddim", eta: float = 0.85, travel: int = 1, repeats: int = 1, **options
    ):
        super().__init__(**options)
        if step not in ("ddim", "ddpm"):
            raise ValueError(f'ddnm: step must be "ddim" or "ddpm", not {step!r}')
        if not 0 <= eta <= 1:
            raise ValueError(f"ddnm: eta must be between 0 and 1, not {eta}")
        if travel < 1 or repeats < 1:
            raise ValueError(f"ddnm: travel and repeats must be at least 1, not {travel} and {repeats}")
        self.step, self.eta, self.travel, self.repeats = step, eta, travel, repeats

    def run(self, sigmas: list[float], n: int) -> Tensor:
        levels = geometric(max(len(sigmas) // self.repeats, 2), sigmas[0], sigmas[-1])
        pairs = list(itertools.pairwise(levels))
        x = self.start(n, levels[0])
        for k in self.bar(range(0, len(pairs), self.travel)):
            stretch = pairs[k : k + self.travel]
            for again in range(self.repeats):
                if again:
                    x = x + math.sqrt(stretch[0][0] ** 2 - stretch[-1][1] ** 2) * self.noise(n)
                for s, r in stretch:
                    x = self.down(x, s, r)
        return self.prior.denoise(x, levels[-1])

    def down(self, x: Tensor, s: float, r: float) -> Tensor:
        """One step from level s to r, shape of x, `(B, D)`."""
        V, w, d = self.data.V, self.data.s, self.data.d
        if self.step == "ddim":
            keep, total, most = math.sqrt(1 - self.eta**2) * r / s, self.eta * r, r
        else:
            keep = (r / s) ** 2
            total = r * math.sqrt(1 - keep)
            most = total / (1 - keep)
        D, eps = self.prior.denoise(x, s), self.noise(len(x))
        x = keep * x + (1 - keep) * D + total * eps
        # lambda tau, the noise that comes with the data: its square is subtracted from the variance that is added
        brought = torch.where(w > 0, 1 / w.clamp_min(1 / most), 0)
        less = (1 - (brought / most) ** 2).clamp_min(0).sqrt() - 1
        return x + ((1 - keep) * brought * (d - w * (D @ V)) + less * total * (eps @ V)) @ V.T
