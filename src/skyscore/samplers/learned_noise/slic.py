r"""Posterior samples under a learned noise: image and noise drawn together, each by its own diffusion model (SLIC).

With a learned noise m there are two unknowns and one linear equation. In units of the noise model, with the data
diffused to its level tau (:class:`skyscore.likelihoods.ScoreLikelihood`),

.. math:: y_\tau = A x + m + \tau \xi = [A, c \, 1] \, u + \tau \xi, \qquad u = (x, m / c), \quad
    p(u) \propto p(x) \, Q(m)

which is a Gaussian likelihood of u behind a linear operator. The denoiser of u at level sigma is that of the image at
sigma beside that of the noise at c sigma, and any guidance for Gaussian likelihoods serves; here Tweedie's covariance
(:mod:`skyscore.samplers.guidance.mmps`), whose Jacobian is that of both networks: it says for each pixel whether a
bright residual is a hit or a star. The scale c is the ratio of their largest standard deviations
(:func:`skyscore.samplers.counting.largest_deviation`), so that both are decided at about the same levels. x of a
draw of u is a draw of p(x | y_tau).

Exact where image and noise are Gaussian. Beyond, what is said of `mmps` holds: modes are right, their weights are not.
No turn is taken at a small level: there a network's score is no exact one, and chains that stay gather its errors
(:mod:`skyscore.samplers.learned_noise.slic_gibbs`).

References: Stevens et al. (2023), arXiv:2302.05290 (a diffusion model for the signal and one for the noise, guided
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
from skyscore.samplers.counting import Counted, highest_level, largest_deviation
from skyscore.samplers.guidance.mmps import MMPS

__all__ = ["SLIC", "JointPrior", "joint_likelihood"]


class JointPrior:
    """Creates the prior of u = (x, m / c), both flat, one after the other.

    Arguments:
        prior: of images x, `(B, *shape)`. noise: of noise images, `(B, 1, h, w)`.
        shape: of an image x. frames: of the noise m of an observation, `(..., h, w)`.
        scale: c.
    """

    def __init__(self, prior, noise, shape: tuple[int, ...], frames: tuple[int, ...], scale: float):
        self.prior, self.noise, self.shape, self.frames, self.scale = prior, noise, shape, frames, scale
        self.split = [math.prod(shape), math.prod(frames)]
        self.sigma_max = min(highest_level(prior), highest_level(noise) / scale)
        if self._linear(prior) and self._linear(noise):
            self.linear_covariance = self._linear_covariance

    def denoise(self, u: Tensor, sigma: Tensor) -> Tensor:
        """E[u_0 | u_t = u], shape of u = `(B, D + M)`, sigma a number."""
        x, m = self.parts(u)
        return self.whole(
            self.prior.denoise(x, sigma), self.noise.denoise(self.scale * m, self.scale * sigma) / self.scale
        )

    def parts(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Images `(B, *shape)` and frames `(B * frames, 1, h, w)`."""
        x, m = u.split(self.split, dim=1)
        return x.reshape(-1, *self.shape), m.reshape(-1, 1, *self.frames[-2:])

    def whole(self, x: Tensor, m: Tensor) -> Tensor:
        return torch.cat([x.reshape(-1, self.split[0]), m.reshape(-1, self.split[1])], 1)

    @staticmethod
    def _linear(model):
        return getattr(model, "linear_covariance", None)

    def _linear_covariance(self, u: Tensor, sigma: float) -> Tensor:
        """V u, shape of u, of the linear parts: the covariance of m / c is that of m over c^2."""
        x, m = self.parts(u)
        of_noise = self.noise.linear_covariance(m, self.scale * sigma) / self.scale**2
        return self.whole(self.prior.linear_covariance(x, sigma), of_noise)


def joint_likelihood(like: ScoreLikelihood, scale: float) -> GaussianLikelihood:
    r"""The Gaussian likelihood of u = (x, m / c) with noise tau, decomposed; c is the scale.

    With :math:`A A' = U a^2 U'` that of :math:`[A, c \, 1] / \tau` has the singular values
    :math:`s = \sqrt{a^2 + c^2} / \tau` and the vectors :math:`(A' U, c \, U) / (\tau s)`. At 128 pixels each matrix
    holds gigabytes: what is done with is let go.
    """
    operator, tau = like.operator, like.level
    A = like.flux / like.std * operator.matrix(torch.float64).to(like.y.device)  # (M, D)
    a2, U = torch.linalg.eigh(A @ A.T)
    s = (a2.clamp_min(0) + scale**2).sqrt() / tau  # at least c / tau: every direction of the data is seen
    V = torch.cat([A.T @ U, scale * U]).div_(tau * s)
    del A
    d = (like.diffused.double() / like.std / tau).flatten(start_dim=like.y.ndim - len(operator.out_shape)) @ U
    del U
    return from_spectrum(Spectrum(V, s, d), (len(V),)).to(dtype=like.y.dtype)


class SLIC(Sampler):
    """Creates the sampler.

    Arguments:
        cg_steps: conjugate-gradient steps at most, each costing a vector-Jacobian product of both networks.
        churn: noise of the steps: 1 for the reverse SDE, 0 for the probability-flow ODE.
    """

    name = "slic"
    reference = "Legin et al. (2023), arXiv:2302.03046; Stevens et al. (2023), arXiv:2302.05290"
    failure = "that of mmps: wrong weights of modes, such as star or hit"
    needs_density = False
    needs_vjp = True
    exact_for = "Gaussian images and noise"

    def __init__(self, *, cg_steps: int = 4, churn: float = 1.0, **options):
        super().__init__(**options)
        self.options = {"cg_steps": cg_steps, "churn": churn, **options}

    def __call__(
        self, prior, likelihood, n: int, generators: list[torch.Generator], progress: bool = False
    ) -> Samples:
        """n samples of the posterior of each observation of a score likelihood."""
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
    """The largest standard deviation of a model in any direction; the same whatever the observations."""
    generator = torch.Generator(like["device"]).manual_seed(0)
    return largest_deviation(
        Counted(model, shape), torch.randn(1, math.prod(shape), generator=generator, **like)
    )
