r"""Posterior samples with learned noise: image and noise drawn together, each from its own diffusion model (SLIC).

With learned noise m there are two unknowns and one linear equation. In units of the noise model, with the data
diffused to its level tau (:class:`skyscore.likelihoods.ScoreLikelihood`),

.. math:: y_\tau = A x + m + \tau \xi = [A, c \, 1] \, u + \tau \xi, \qquad u = (x, m / c), \quad
    p(u) \propto p(x) \, Q(m)

This is a Gaussian likelihood of u with a linear operator. The denoiser of u at level sigma combines that of the image
at sigma and that of the noise at c sigma, so that any guidance for Gaussian likelihoods applies. Here it is Tweedie's
covariance (:mod:`skyscore.samplers.guidance.mmps`), whose Jacobian includes both networks: it decides for each pixel
whether a bright residual is a cosmic-ray hit or a star. The scale c is the ratio of the largest standard deviations
of noise and image (:func:`skyscore.samplers.counting.largest_deviation`), so that both are decided at about the same
levels. If u is a draw, its x is a draw of p(x | y_tau).

The sampler is exact if image and noise are Gaussian. Otherwise it has the limits of `mmps`: the modes are right,
their weights are not. It runs no Gibbs turns at a small level: there the score of a network is not exact, and chains
that stay accumulate its errors (:mod:`skyscore.samplers.learned_noise.slic_gibbs`).

References: Stevens et al. (2023), arXiv:2302.05290 (one diffusion model for the signal and one for the noise, guided
together); Legin et al. (2023), arXiv:2302.03046 (SLIC); Rozet et al. (2024), arXiv:2405.13712 (the guidance).
Deviation from the first: Tweedie's covariance in place of a gradient through the norm of the residual.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood, Spectrum
from skyscore.likelihoods.gaussian import from_spectrum
from skyscore.samplers.base import Sampler, Samples
from skyscore.samplers.counting import CountedPrior, highest_level, largest_deviation
from skyscore.samplers.guidance.mmps import MMPS

__all__ = ["SLIC", "JointPrior", "joint_likelihood"]


class JointPrior:
    """The prior of u = (x, m / c), image and noise as one flat vector.

    Arguments:
        prior: prior of images x, `(B, *shape)`.
        noise: noise model of images `(B, 1, h, w)`.
        shape: shape of an image x.
        frames: shape of the noise m of one observation, `(..., h, w)`.
        scale: c.
    """

    def __init__(self, prior, noise, shape: tuple[int, ...], frames: tuple[int, ...], scale: float):
        self.prior, self.noise, self.shape, self.frames, self.scale = prior, noise, shape, frames, scale
        self.split = [math.prod(shape), math.prod(frames)]
        self.sigma_max = min(highest_level(prior), highest_level(noise) / scale)
        if self._linear(prior) and self._linear(noise):
            self.linear_covariance = self._linear_covariance

    def denoise(self, u: Tensor, sigma: Tensor) -> Tensor:
        """E[u_0 | u_t = u], shape of u, `(B, D + M)`; sigma is a number."""
        x, m = self.parts(u)
        return self.whole(
            self.prior.denoise(x, sigma), self.noise.denoise(self.scale * m, self.scale * sigma) / self.scale
        )

    def parts(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(B, *shape)` and frames `(B * frames, 1, h, w)` of u."""
        x, m = u.split(self.split, dim=1)
        return x.reshape(-1, *self.shape), m.reshape(-1, 1, *self.frames[-2:])

    def whole(self, x: Tensor, m: Tensor) -> Tensor:
        """u, `(B, D + M)`, from images and frames."""
        return torch.cat([x.reshape(-1, self.split[0]), m.reshape(-1, self.split[1])], 1)

    @staticmethod
    def _linear(model):
        return getattr(model, "linear_covariance", None)

    def _linear_covariance(self, u: Tensor, sigma: float) -> Tensor:
        """V u, shape of u, of the linear parts; the covariance of m / c is that of m divided by c^2."""
        x, m = self.parts(u)
        of_noise = self.noise.linear_covariance(m, self.scale * sigma) / self.scale**2
        return self.whole(self.prior.linear_covariance(x, sigma), of_noise)


def joint_likelihood(like: ScoreLikelihood, scale: float) -> GaussianLikelihood:
    r"""The Gaussian likelihood of u = (x, m / c) with noise tau, decomposed; c is the scale.

    Let :math:`A A' = U a^2 U'`. Then :math:`[A, c \, 1] / \tau` has the singular values
    :math:`s = \sqrt{a^2 + c^2} / \tau` and the right singular vectors :math:`(A' U, c \, U) / (\tau s)`. At 128
    pixels each matrix takes gigabytes, so that each is freed after its last use.
    """
    operator, tau = like.operator, like.level
    A = like.flux / like.std * operator.matrix(torch.float64).to(like.y.device)  # (M, D)
    a2, U = torch.linalg.eigh(A @ A.T)
    s = (a2.clamp_min(0) + scale**2).sqrt() / tau  # at least c / tau: every direction of the data is observed
    V = torch.cat([A.T @ U, scale * U]).div_(tau * s)
    del A
    d = (like.diffused.double() / like.std / tau).flatten(start_dim=like.y.ndim - len(operator.out_shape)) @ U
    del U
    return from_spectrum(Spectrum(V, s, d), (len(V),)).to(dtype=like.y.dtype)


class SLIC(Sampler):
    """The SLIC sampler.

    Arguments:
        cg_steps: maximum number of conjugate-gradient steps; each costs a vector-Jacobian product of both networks.
        eta: share of the noise of the reverse SDE: 1 is the reverse SDE, 0 is the probability-flow ODE. This is not
            S_churn of EDM, which raises the noise level before each step.
    """

    name = "slic"
    reference = "Legin et al. (2023), arXiv:2302.03046; Stevens et al. (2023), arXiv:2302.05290"
    failure = "wrong weights of modes, such as star or cosmic-ray hit (as mmps)"
    needs_density = False
    needs_vjp = True
    exact_for = "Gaussian images and noise"

    def __init__(self, *, cg_steps: int = 4, eta: float = 1.0, **options):
        super().__init__(**options)
        self.options = {"cg_steps": cg_steps, "eta": eta, **options}

    def __call__(
        self, prior, likelihood, n: int, generators: list[torch.Generator], progress: bool = False
    ) -> Samples:
        """Draws n posterior samples for each observation of a score likelihood; see :class:`Sampler`."""
        shape, frames = tuple(likelihood.operator.in_shape), tuple(likelihood.operator.out_shape)
        like = {"dtype": likelihood.y.dtype, "device": likelihood.y.device}
        scale = deviation(likelihood.noise, (1, *frames[-2:]), like) / deviation(prior, shape, like)
        together = JointPrior(prior, likelihood.noise, shape, frames, scale)
        guide = MMPS(**self.options)
        found = guide(together, joint_likelihood(likelihood, scale), n, generators, progress)
        x = found.x[..., : math.prod(shape)]
        return Samples(
            x.reshape(*x.shape[:-1], *shape),
            found.nfe,
            found.nvjp,
            found.diagnostics | {"noise_nfe": found.nfe * math.prod(frames[:-2]), "scale": scale},
        )


def deviation(model, shape: tuple[int, ...], like: dict) -> float:
    """The largest standard deviation of a model in any direction; it does not depend on the observations."""
    generator = torch.Generator(like["device"]).manual_seed(0)
    return largest_deviation(
        CountedPrior(model, shape), torch.randn(1, math.prod(shape), generator=generator, **like)
    )
