r"""Laws of pixel noise for a parametric fit: the score of residuals, and the density where it is known.

* learned: :math:`s(r) = (D(r, \tau) - r) / \tau^2`, no density, for data diffused to the level :math:`\tau`;
* Gaussian: :math:`s(r) = -P (r - m)` with the measured mean and covariance;
* Student's t, independent pixels: :math:`s(r) = -(\nu + 1) r / (\nu c^2 + r^2)`.

All act on residuals `(B, h, w)`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from skyscore.likelihoods.score import noise_score

__all__ = ["GaussianLaw", "LearnedLaw", "StudentLaw", "measured_gaussian", "noise_map"]


class LearnedLaw:
    """Creates the law of a noise model (`denoise` of images) at one noise level, in the units of the model."""

    has_density = False

    def __init__(self, noise, level: float, device: str = "cpu", batch: int = 256):
        self.noise, self.level, self.device, self.batch = noise, level, device, batch

    def score(self, r: Tensor) -> Tensor:
        """Score of residuals r `(B, h, w)`, same shape."""
        return noise_score(self.noise, r.to(self.device), self.level, self.batch).to(r.device)

    def diffuse(self, data: Tensor, generator: torch.Generator) -> Tensor:
        """The data with noise of the level added once."""
        return data + self.level * torch.randn(data.shape, generator=generator, dtype=data.dtype)


class GaussianLaw:
    """Creates N(mean, covariance) for images with M pixels; covariance `(M, M)`, positive definite."""

    has_density = True

    def __init__(self, mean: float, covariance: Tensor, shape: tuple[int, int]):
        self.mean, self.shape, self.root = mean, shape, torch.linalg.cholesky(covariance.double())
        self.precision = torch.cholesky_inverse(self.root)
        self.single = self.precision.float()

    def score(self, r: Tensor) -> Tensor:
        """Score of residuals r `(B, h, w)`, same shape."""
        P = self.single if r.dtype == torch.float32 else self.precision
        return -((r.flatten(1) - self.mean) @ P).reshape(r.shape)

    def log_prob(self, r: Tensor) -> Tensor:
        """Log density `(B,)` of residuals r `(B, h, w)`, up to a constant."""
        return 0.5 * ((r - self.mean) * self.score(r)).flatten(1).sum(1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """n draws, `(n, h, w)`."""
        z = torch.randn(n, len(self.root), generator=generator, dtype=torch.float64)
        return self.mean + (z @ self.root.T).reshape(n, *self.shape)


class StudentLaw:
    """Creates independent Student-t noise with `nu` degrees of freedom and scale c."""

    has_density = True

    def __init__(self, nu: float, scale: float):
        self.nu, self.scale = nu, scale

    def score(self, r: Tensor) -> Tensor:
        """Score of residuals r `(B, h, w)`, same shape."""
        return -(self.nu + 1) * r / (self.nu * self.scale**2 + r**2)

    def log_prob(self, r: Tensor) -> Tensor:
        """Log density `(B,)` of residuals r `(B, h, w)`, up to a constant."""
        return -0.5 * (self.nu + 1) * torch.log1p((r / self.scale) ** 2 / self.nu).flatten(1).sum(1)

    def sample(self, n: int, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
        """n draws, `(n, *shape)`."""
        z = torch.randn(n, *shape, generator=generator, dtype=torch.float64)
        chi2 = 2 * torch._standard_gamma(torch.full_like(z, self.nu / 2), generator=generator)
        return self.scale * z * (self.nu / chi2).sqrt()


def measured_gaussian(images: Tensor) -> GaussianLaw:
    """The Gaussian with the mean and the stationary covariance of realisations `(n, h, w)`."""
    x = np.asarray(images, dtype=float)
    mean, (h, w) = float(x.mean()), x.shape[1:]
    size = (2 * h - 1, 2 * w - 1)
    power = (np.abs(np.fft.rfft2(x - mean, size)) ** 2).mean(0)
    pairs = np.outer(h - np.abs(np.arange(1 - h, h)), w - np.abs(np.arange(1 - w, w)))
    xi = np.fft.fftshift(np.fft.irfft2(power, size)) / pairs  # at lags -(h - 1) .. h - 1
    i, j = (t.ravel() for t in np.meshgrid(np.arange(h), np.arange(w), indexing="ij"))
    C = torch.from_numpy(xi[i[:, None] - i + h - 1, j[:, None] - j + w - 1])
    values, vectors = torch.linalg.eigh(0.5 * (C + C.T))
    values = values.clamp(min=0.02 * float(values.mean()))  # xi is an estimate: its large lags are noise
    return GaussianLaw(mean, (vectors * values) @ vectors.T, (h, w))


def noise_map(images: Tensor, clip: float) -> GaussianLaw:
    """Independent pixels with the mean and variance of clipped noise, as in the noise maps of surveys.

    Arguments:
        images: realisations `(n, h, w)`.
        clip: values farther than this many robust standard deviations from the median are ignored.
    """
    x = np.asarray(images, dtype=float)
    far = np.abs(x - np.median(x))
    kept = x[far <= clip * 1.4826 * np.median(far)]
    h, w = x.shape[1:]
    return GaussianLaw(float(kept.mean()), float(kept.var()) * torch.eye(h * w), (h, w))
