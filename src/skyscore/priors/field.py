r"""A Gaussian random field: the prior of a power spectrum, whose denoiser is the Wiener filter of the field.

.. math:: D(x, \sigma) = m + T^\top \frac{P}{P + \sigma^2} \, T (x - m)

T is the cosine transform, the Fourier transform of the patch and its mirror images: a patch of the sky is not periodic,
and its own Fourier modes would join its opposite edges. In it a stationary field is almost uncorrelated, with variances
that follow from its covariance :math:`\xi` exactly (:func:`skyscore.statistics.cosine.cosine_power`). Nothing is
trained, and the cost is that of
four matrix products: a prior for maps of any size, such as the convergence of 360 x 360 pixels, which knows the scales
of a field and nothing of its peaks. With a network beside it: :mod:`skyscore.priors.hybrid`.

Reference: Remy et al. (2022), arXiv:2201.05561 (the Gaussian part of their prior; Fourier modes there).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skyscore.statistics.cosine import cosine_matrix

from .neural import NeuralPrior

__all__ = ["FieldDenoiser", "FieldPrior"]


class FieldDenoiser(nn.Module):
    """Creates the denoiser D of images of shape `(1, pixels, pixels)`.

    Arguments:
        pixels: pixels on a side.
        sigma_data: standard deviation of the images' pixels, in prior units.
        power: variances P of the cosine modes, `(pixels, pixels)`, in prior units squared.
        mean: the mean m of all pixels, in prior units.
    """

    def __init__(self, pixels: int, sigma_data: float, power: Tensor, mean: float = 0.0):
        super().__init__()
        self.pixels, self.sigma_data = pixels, sigma_data
        self.register_buffer("power", torch.as_tensor(power, dtype=torch.float32).clamp(min=0))
        self.register_buffer("mean", torch.tensor(float(mean)), persistent=False)
        self.register_buffer("T", cosine_matrix(pixels).float(), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 | x_t = x], shape of x = `(B, 1, H, W)`, sigma of shape `(B,)`."""
        s2 = sigma.view(-1, 1, 1, 1) ** 2
        return self.mean + self.filter(x - self.mean, lambda P: P / (P + s2))

    def filter(self, x: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """Multiplies each mode of x by the gain of its variance, in full precision whatever surrounds it."""
        with torch.autocast(x.device.type, enabled=False):
            return self.T.T @ (gain(self.power) * (self.T @ x.float() @ self.T.T)) @ self.T


class FieldPrior(NeuralPrior):
    """Creates a prior from a :class:`FieldDenoiser`; see :class:`skyscore.priors.NeuralPrior`."""

    kind = "field"

    def start(self, n: int, generator: torch.Generator) -> Tensor:
        """Images at the first level, `(n, 1, H, W)`: the mean, and the variance P + sigma_max^2 of each mode.

        The largest scales may reach above sigma_max: their variance is there from the start.
        """
        return self.model.mean + self.drawn(n, generator, lambda P: (P + self.sigma_max**2) ** 0.5)

    def drawn(self, n: int, generator: torch.Generator, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """White noise `(n, 1, H, W)` behind a gain for each mode."""
        z = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        return self.model.filter(z.to(self.model.power.device), gain)

    def sample(self, n: int, generator: torch.Generator | None = None, *, batch: int = 64, **_) -> Tensor:
        """n independent images `(n, 1, H, W)`, exact; the options of other priors (steps, progress) mean nothing."""
        generator = generator or torch.Generator(self.model.power.device).manual_seed(0)
        sizes = [min(batch, n - start) for start in range(0, n, batch)]
        return torch.cat([self.model.mean + self.drawn(size, generator, torch.sqrt) for size in sizes])

    def linear_covariance(self, x: Tensor, sigma: float) -> Tensor:
        """V x, `(B, 1, H, W)`, with V = P sigma^2 / (P + sigma^2): the linear part's covariance of x0 given x_t.

        The prior's own is near it at large sigma: what a solver wants as a preconditioner.
        """
        return self.model.filter(x, lambda P: P * sigma**2 / (P + sigma**2)).to(x.dtype)

    def about(self) -> dict:
        """What the denoiser is built from, but for its tensors."""
        return {
            "pixels": self.model.pixels,
            "sigma_data": self.model.sigma_data,
            "mean": self.model.mean.item(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """What the file holds, by name."""
        return {"power": self.model.power}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> FieldDenoiser:
        pixels, power = about["pixels"], tensors["power"]
        if tuple(power.shape) != (pixels, pixels):
            raise ValueError(f"variances of shape {tuple(power.shape)} for {pixels} x {pixels} cosine modes")
        return FieldDenoiser(pixels, about["sigma_data"], power, about["mean"])
