r"""A Gaussian random field: the prior of a power spectrum, whose denoiser is the Wiener filter of the field.

.. math:: D(x, \sigma) = m + T^\top \frac{P}{P + \sigma^2} \, T (x - m)

T is the cosine transform, which is the Fourier transform of the patch and its mirror images. A patch of the sky is
not periodic, and its own Fourier modes would join opposite edges. The cosine modes of a stationary field are almost
uncorrelated, with variances that follow exactly from its covariance :math:`\xi`
(:func:`skyscore.statistics.cosine.cosine_power`).

Nothing is trained, and the cost is that of four matrix products. The prior is therefore possible for maps of any
size, such as a convergence map of 360 x 360 pixels. It describes the scales of a field but not its peaks. For the
combination with a network see :mod:`skyscore.priors.hybrid`.

Reference: Remy et al. (2022), arXiv:2201.05561 (the Gaussian part of their prior; Fourier modes there).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skyscore.statistics.cosine import cosine_matrix
from skyscore.statistics.moments import Moments, field_moments

from .neural import NeuralPrior

__all__ = ["FieldDenoiser", "FieldPrior"]


class FieldDenoiser(nn.Module):
    """The denoiser D of a Gaussian random field, for images of shape `(1, pixels, pixels)`.

    Arguments:
        pixels: pixels on a side.
        sigma_data: standard deviation of the pixel values, in prior units.
        power: variances P of the cosine modes, `(pixels, pixels)`, in prior units squared.
        mean: the mean m of all pixels, in prior units.
    """

    power: Tensor
    mean: Tensor
    T: Tensor

    def __init__(self, pixels: int, sigma_data: float, power: Tensor, mean: float = 0.0):
        super().__init__()
        self.pixels, self.sigma_data = pixels, sigma_data
        self.register_buffer("power", torch.as_tensor(power, dtype=torch.float32).clamp(min=0))
        self.register_buffer("mean", torch.tensor(float(mean)), persistent=False)
        self.register_buffer("T", cosine_matrix(pixels).float(), persistent=False)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x_0 | x_t = x], shape of x, `(B, 1, H, W)`; sigma of shape `(B,)`."""
        s2 = sigma.view(-1, 1, 1, 1) ** 2
        return self.mean + self.filter(x - self.mean, lambda P: P / (P + s2))

    def filter(self, x: Tensor, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """Multiplies each mode of x by the gain of its variance, always in float32; shape of x."""
        with torch.autocast(x.device.type, enabled=False):
            return self.T.T @ (gain(self.power) * (self.T @ x.float() @ self.T.T)) @ self.T


class FieldPrior(NeuralPrior):
    """The prior of a :class:`FieldDenoiser`; arguments as for :class:`skyscore.priors.NeuralPrior`."""

    kind = "field"

    def start(self, n: int, generator: torch.Generator) -> Tensor:
        """Images at the first level, `(n, 1, H, W)`: the mean plus modes of variance P + sigma_max^2.

        The largest scales can have a standard deviation above sigma_max; their variance is included from the start.
        """
        return self.model.mean + self.drawn(n, generator, lambda P: (P + self.sigma_max**2) ** 0.5)

    def drawn(self, n: int, generator: torch.Generator, gain: Callable[[Tensor], Tensor]) -> Tensor:
        """White noise `(n, 1, H, W)`, with each mode multiplied by a gain."""
        z = torch.randn(n, *self.shape, generator=generator, device=generator.device)
        return self.model.filter(z.to(self.model.power.device), gain)

    def sample(self, n: int, generator: torch.Generator | None = None, *, batch: int = 64, **_) -> Tensor:
        """n independent images `(n, 1, H, W)`, exact; options of other priors (steps, progress) have no effect."""
        generator = generator or torch.Generator(self.model.power.device).manual_seed(0)
        sizes = [min(batch, n - start) for start in range(0, n, batch)]
        return torch.cat([self.model.mean + self.drawn(size, generator, torch.sqrt) for size in sizes])

    def moments(self) -> Moments:
        """Moments of the field, in prior units; the cosine modes of largest variance are the principal components."""
        return field_moments(self.model.power.cpu().numpy(), self.model.mean.item())

    def linear_covariance(self, x: Tensor, sigma: float) -> Tensor:
        """V x, `(B, 1, H, W)`, with V = P sigma^2 / (P + sigma^2): the covariance of x0 given x_t for the linear part.

        At large sigma it is close to the covariance of the prior itself, and serves solvers as a preconditioner.
        """
        return self.model.filter(x, lambda P: P * sigma**2 / (P + sigma**2)).to(x.dtype)

    def about(self) -> dict:
        """The constructor arguments of the denoiser, except tensors."""
        return {
            "pixels": self.model.pixels,
            "sigma_data": self.model.sigma_data,
            "mean": self.model.mean.item(),
        }

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are stored in the file, by name."""
        return {"power": self.model.power}

    @staticmethod
    def build(about: dict, tensors: dict[str, Tensor]) -> FieldDenoiser:
        """The denoiser that a file describes.

        Raises:
            ValueError: if the number of variances does not fit the number of pixels.
        """
        pixels, power = about["pixels"], tensors["power"]
        if tuple(power.shape) != (pixels, pixels):
            raise ValueError(
                f"variances of shape {tuple(power.shape)} do not fit {pixels} x {pixels} cosine modes"
            )
        return FieldDenoiser(pixels, about["sigma_data"], power, about["mean"])
