r"""The first two moments of a noise of which only realisations are known.

.. math:: m = E[n], \qquad \Sigma_{ij} = \mathrm{Cov}[n_i, n_j] = \xi(i - j)

They are measured on blank exposures, as a stationary covariance, independent between exposures. The Gaussian likelihood
with these moments uses all that a Gaussian can know of this noise.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

__all__ = ["MeasuredNoise", "measure"]


def measure(images: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean, and covariance xi at lags `-(H - 1)..H - 1`, `(2 H - 1, 2 W - 1)`, of realisations `(n, 1, H, W)`.

    Each lag is averaged over all pairs of pixels with that lag.
    """
    x = np.asarray(images, dtype=float)[:, 0]
    mean, (H, W) = x.mean(), x.shape[1:]
    size = (2 * H - 1, 2 * W - 1)
    power = (np.abs(np.fft.rfft2(x - mean, size)) ** 2).mean(0)
    pairs = np.outer(H - np.abs(np.arange(1 - H, H)), W - np.abs(np.arange(1 - W, W)))
    return float(mean), np.fft.fftshift(np.fft.irfft2(power, size)) / pairs


class MeasuredNoise:
    """Creates the Gaussian law with these moments.

    Arguments:
        mean, xi: see :func:`measure`.
        exposures: number of independent exposures; data are `(B, exposures * H * W)`.
        floor: eigenvalues of Sigma below this fraction of the mean eigenvalue are raised to it (xi is an estimate).
    """

    def __init__(self, mean: float, xi: Tensor, exposures: int = 1, floor: float = 0.05):
        H, W = ((n + 1) // 2 for n in xi.shape)
        i, j = (t.flatten() for t in torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij"))
        C = xi.double()[i[:, None] - i + H - 1, j[:, None] - j + W - 1]
        values, self.vectors = torch.linalg.eigh((C + C.T) / 2)
        self.values = values.clamp(min=floor * float(values.mean()))
        self.mean, self.exposures = mean, exposures

    def _spectral(self, v: Tensor, values: Tensor) -> Tensor:
        """Multiplies each exposure of v `(B, M)` by the function of Sigma that has these eigenvalues."""
        parts = v.unflatten(-1, (self.exposures, -1)).double()
        return (((parts @ self.vectors) * values) @ self.vectors.T).flatten(-2).to(v.dtype)

    def whiten(self, r: Tensor) -> Tensor:
        """Sigma^-1/2 r (symmetric root), in the shape of r, `(..., M)`; the caller subtracts the mean."""
        return self._spectral(r, self.values**-0.5)

    def covariance(self, v: Tensor) -> Tensor:
        """Sigma v, in the shape of v, `(..., M)`."""
        return self._spectral(v, self.values)

    def solve(self, v: Tensor) -> Tensor:
        """Sigma^-1 v, in the shape of v, `(..., M)`."""
        return self._spectral(v, 1 / self.values)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws N(0, Sigma), shape `(n, M)`."""
        M = self.exposures * len(self.values)
        return self._spectral(torch.randn(n, M, generator=generator, dtype=torch.float64), self.values.sqrt())

    def to(self, device=None, dtype=None) -> MeasuredNoise:
        """Moves the law to a device; its algebra stays in float64."""
        self.values, self.vectors = self.values.to(device), self.vectors.to(device)
        return self
