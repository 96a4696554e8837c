r"""The Gaussian prior with the first two moments of a training set, for images: learned, but without a network.

.. math:: D(x, \sigma) = m + U^\top \mathrm{diag}\Big(\frac{v}{v + \sigma^2}\Big) U (x - m)
    + \frac{\rho}{\rho + \sigma^2} (1 - U^\top U) (x - m)

with principal components U of variances v, and the mean variance :math:`\rho` in all other directions. It knows how
large and how bright galaxies are and nothing of their shapes: the misspecified prior of the lens exercises.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skyscore import io

__all__ = ["MomentsPrior"]


class MomentsPrior:
    """Creates the prior.

    Arguments:
        mean: m, `(1, H, W)`, in prior units.
        components: U, orthonormal rows, `(K, H W)`.
        variances: v, `(K,)`. residual: rho.
        metadata: text by name, kept in the file.
    """

    kind = "gaussian"
    #: level at which chains start, that of the networks
    sigma_max = 20.0

    def __init__(self, mean: Tensor, components: Tensor, variances: Tensor, residual: float, metadata=None):
        self.mean, self.components, self.variances = mean, components, variances
        self.residual, self.metadata = float(residual), dict(metadata or {})

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.mean.shape)

    @property
    def config(self) -> dict:
        """The settings that decided the moments."""
        return json.loads(self.metadata.get("settings", "{}"))

    @classmethod
    def fit(cls, images: np.ndarray, metadata: dict[str, str] | None = None, rank: int = 256) -> MomentsPrior:
        """The moments of images `(N, 1, H, W)`, with at most `rank` components."""
        flat = torch.as_tensor(np.asarray(images)).double().flatten(1)
        mean, (n, D) = flat.mean(0), flat.shape
        rank = min(rank, D - 1, n // 2)
        _, s, U = torch.linalg.svd(flat - mean, full_matrices=False)
        v = s**2 / (n - 1)
        rest = max(float(v[rank:].sum()) / (D - rank), 1e-6 * float(v[0]))
        return cls(mean.reshape(images.shape[1:]).float(), U[:rank].float(), v[:rank].float(), rest, metadata)

    def denoise(self, x: Tensor, sigma: Tensor | float) -> Tensor:
        """E[x0 | x0 + sigma z = x], shape of x = `(B, 1, H, W)`; sigma a number or of shape `(B,)`."""
        s2 = torch.as_tensor(sigma, dtype=x.dtype, device=x.device).expand(len(x))[:, None] ** 2
        r = (x - self.mean.to(x)).flatten(1)
        U, v = self.components.to(x), self.variances.to(x)
        c = r @ U.T
        rest = self.residual / (self.residual + s2)
        return self.mean.to(x) + (rest * r + (c * (v / (v + s2) - rest)) @ U).reshape(x.shape)

    def sample(self, n: int, generator: torch.Generator | None = None, **_) -> Tensor:
        """n independent images `(n, 1, H, W)`; the options of other priors (steps, progress ...) mean nothing here."""
        generator = generator or torch.Generator(self.mean.device).manual_seed(0)
        z = torch.randn(n, self.components.shape[1], generator=generator, device=generator.device).to(
            self.mean
        )
        c = z @ self.components.T
        x = self.residual**0.5 * z + (c * (self.variances.sqrt() - self.residual**0.5)) @ self.components
        return self.mean + x.reshape(n, *self.shape)

    def save(self, path: str | Path) -> None:
        """Writes the moments (components in half precision) and their record."""
        tensors = {"mean": self.mean, "components": self.components.half(), "variances": self.variances}
        tensors["residual"] = torch.tensor([self.residual])
        io.write_weights(path, tensors, {**self.metadata, "kind": self.kind})

    @classmethod
    def load(cls, path: str | Path, device: str = "cpu") -> MomentsPrior:
        """Reads a prior that `save` wrote.

        Raises:
            InputError: if the file is no safetensors file or holds no moments.
        """
        tensors, metadata = io.read_weights(path)
        try:
            mean, U, v, rest = (
                tensors[name].float() for name in ("mean", "components", "variances", "residual")
            )
        except KeyError as error:
            raise io.InputError(
                f"{path}: holds no moments ({error} is absent); train it with rule train_prior"
            ) from error
        return cls(mean.to(device), U.to(device), v.to(device), float(rest), metadata)
