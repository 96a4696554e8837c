r"""The Gaussian prior with the first two moments of a training set: learned from images, without a network.

.. math:: D(x, \sigma) = m + U^\top \mathrm{diag}\Big(\frac{v}{v + \sigma^2}\Big) U (x - m)
    + \frac{\rho}{\rho + \sigma^2} (1 - U^\top U) (x - m)

with principal components U of variances v, and the mean variance :math:`\rho` in all other directions. It describes
the sizes and brightnesses of galaxies but not their shapes: it is the misspecified prior of the lens exercises.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skyscore import io
from skyscore.statistics.moments import Moments, leading_moments

__all__ = ["MomentsPrior"]


class MomentsPrior:
    """The Gaussian prior of given moments.

    Arguments:
        mean: m, `(1, H, W)`, in prior units.
        components: U, orthonormal rows, `(K, H W)`.
        variances: v, `(K,)`, in prior units squared.
        residual: rho, in prior units squared.
        metadata: text by name, stored in the file.
    """

    kind = "gaussian"
    #: first noise level of chains, in prior units; the same as for networks
    sigma_max = 20.0
    #: precision in which samplers run
    dtype = torch.float32

    def __init__(self, mean: Tensor, components: Tensor, variances: Tensor, residual: float, metadata=None):
        self.mean, self.components, self.variances = mean, components, variances
        self.residual, self.metadata = float(residual), dict(metadata or {})

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @property
    def config(self) -> dict:
        """The settings that determined the moments."""
        return json.loads(self.metadata.get("settings", "{}"))

    @classmethod
    def fit(cls, images: np.ndarray, metadata: dict[str, str] | None = None, rank: int = 256) -> MomentsPrior:
        """The prior with the moments of images `(N, 1, H, W)`, with at most `rank` components."""
        flat = torch.as_tensor(np.asarray(images)).double().flatten(1)
        mean, (n, D) = flat.mean(0), flat.shape
        rank = min(rank, D - 1, n // 2)
        _, s, U = torch.linalg.svd(flat - mean, full_matrices=False)
        v = s**2 / (n - 1)
        rest = max(float(v[rank:].sum()) / (D - rank), 1e-6 * float(v[0]))
        return cls(mean.reshape(images.shape[1:]).float(), U[:rank].float(), v[:rank].float(), rest, metadata)

    @property
    def device(self) -> torch.device:
        """The device of the moments."""
        return self.mean.device

    def moments(self) -> Moments:
        """The moments of the training images."""
        m, U, v = (t.cpu().numpy() for t in (self.mean, self.components, self.variances))
        return leading_moments(m, U, v, self.residual)

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x], shape of x, `(B, 1, H, W)`; sigma is a number or has shape `(B,)`."""
        s2 = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))[:, None] ** 2
        r = (x - self.mean.to(x)).flatten(1)
        U, v = self.components.to(x), self.variances.to(x)
        c = r @ U.T
        rest = self.residual / (self.residual + s2)
        return self.mean.to(x) + (rest * r + (c * (v / (v + s2) - rest)) @ U).reshape(x.shape)

    def sample(self, n: int, generator: torch.Generator | None = None, **_) -> Tensor:
        """n independent images `(n, 1, H, W)`; options of other priors (steps, progress, ...) have no effect."""
        generator = generator or torch.Generator(self.mean.device).manual_seed(0)
        z = torch.randn(n, self.components.shape[1], generator=generator, device=generator.device).to(
            self.mean
        )
        c = z @ self.components.T
        x = self.residual**0.5 * z + (c * (self.variances.sqrt() - self.residual**0.5)) @ self.components
        return self.mean + x.reshape(n, *self.shape)

    def save(self, path: str | Path) -> None:
        """Writes the moments (components in half precision) and their record to a file."""
        tensors = {"mean": self.mean, "components": self.components.half(), "variances": self.variances}
        tensors["residual"] = torch.tensor([self.residual])
        io.write_weights(path, tensors, {**self.metadata, "kind": self.kind})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> MomentsPrior:
        """Reads a prior that `save` wrote.

        Raises:
            InputError: if the file is not a safetensors file or has no moments.
        """
        tensors, metadata = io.read_weights(path)
        try:
            mean, U, v, rest = (
                tensors[name].float() for name in ("mean", "components", "variances", "residual")
            )
        except KeyError as error:
            raise io.InputError(
                f"{path}: holds no moments ({error} is missing); train it with rule train_prior"
            ) from error
        return cls(mean.to(device), U.to(device), v.to(device), float(rest), metadata)
