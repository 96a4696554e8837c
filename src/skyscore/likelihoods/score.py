r"""The learned likelihood (SLIC): noise with a known score and an unknown density.

For :math:`y = A x + n` the density of the data is that of the noise at the residual,
:math:`p(y \mid x) = Q(y - A x)`. With the score :math:`s_Q = \nabla \log Q` therefore

.. math:: \nabla_x \log p(y \mid x) = - A^\top s_Q(y - A x)

(the minus sign: the residual falls as A x rises). A learned score is that of noise diffused to a level,
:math:`Q * N(0, \tau^2)`. The data are therefore diffused to that level too, once,
:math:`y_\tau = y + \tau \epsilon`. The score is then right for the data it is given, and the posterior is that of
slightly noisier data.

References: Legin et al. (2023), arXiv:2302.03046; Legin et al. (2024), arXiv:2410.19956 (diffused data).
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable

import torch
from torch import Tensor

from skyscore.operators.base import LinearOperator

from .gaussian import GaussianLikelihood, modes

__all__ = ["ScoreLikelihood", "noise_score"]


def noise_score(noise, residual: Tensor, level: float, batch: int = 1024) -> Tensor:
    """s_Q = (D(r) - r) / level^2, shape of the residual, computed image by image.

    Arguments:
        noise: the noise model, an object with `denoise(x, sigma)` for images `(B, 1, h, w)`.
        residual: residuals r `(..., h, w)` in units of the noise model.
        level: noise level of the score, in units of the noise model.
        batch: images per call.
    """
    images = residual.reshape(-1, 1, *residual.shape[-2:])
    with torch.no_grad():
        clean = torch.cat([noise.denoise(part, level) for part in images.split(batch)])
    return ((clean - images) / level**2).reshape(residual.shape)


def noise_of(y: Tensor, seed: int) -> Tensor:
    """Standard normal noise of the shape of y, a function of the seed and of the values of y."""
    content = zlib.crc32(y.detach().double().cpu().numpy().tobytes())
    g = torch.Generator().manual_seed(seed * 2**32 + content)
    return torch.randn(y.shape, generator=g, dtype=torch.float64).to(y)


class ScoreLikelihood:
    """Likelihood of data y = A(flux x) + n, where n has a learned score.

    Arguments:
        operator: forward model A with data images: out_shape `(..., h, w)`; every h x w image has independent noise.
        y: data `(*out_shape)`, or `(O, *out_shape)` for a batch of O observations with the same operator.
        noise: the noise model, an object with `denoise(x, sigma)` for images `(B, 1, h, w)`, in units of `std`.
        surrogate: a Gaussian likelihood of the same data and unknown, for guidance where a density is needed; or a
            function that creates it when it is first needed.
        level: tau, in units of `std`.
        flux: flux scale, the factor between x and the physical image.
        std: unit of the noise model (standard deviation of its core), in units of y.
        seed: seed of the diffusion noise, which is drawn once per observation and does not depend on the batch.
        modes: function that returns the result of :meth:`modes`, if several likelihoods share it.

    Raises:
        ValueError: if the level or the unit is not positive, or y does not fit the operator.
    """

    has_density = False

    def __init__(
        self,
        operator: LinearOperator,
        y: Tensor,
        noise,
        surrogate: GaussianLikelihood | Callable[[], GaussianLikelihood],
        level: float = 0.3,
        *,
        flux: float = 1.0,
        std: float = 1.0,
        seed: int = 0,
        modes: Callable[[], tuple[Tensor, Tensor]] | None = None,
    ):
        if (
            tuple(y.shape[-len(operator.out_shape) :]) != tuple(operator.out_shape)
            or len(operator.out_shape) < 2
        ):
            raise ValueError(
                f"ScoreLikelihood: y {tuple(y.shape)} does not fit A x of shape {operator.out_shape}"
            )
        if level <= 0 or std <= 0:
            raise ValueError(f"ScoreLikelihood: level {level} and std {std} must be positive")
        self.operator, self.y, self.noise = operator, y, noise
        self.level, self.flux, self.std = level, flux, std
        self._surrogate = surrogate
        self._modes: tuple[Tensor, Tensor] | Callable[[], tuple[Tensor, Tensor]] = modes or self._own_modes
        rows = y if self.batched else y[None]
        epsilon = torch.stack([noise_of(row, seed) for row in rows]).reshape(y.shape)
        self.diffused = y + level * std * epsilon

    @property
    def surrogate(self) -> GaussianLikelihood:
        """Gaussian likelihood of the same data, created at the first call because a decomposition can take minutes."""
        if callable(self._surrogate):
            self._surrogate = self._surrogate()
        return self._surrogate

    @property
    def batched(self) -> bool:
        """Whether y holds several observations, `(O, *out_shape)`."""
        return self.y.ndim > len(self.operator.out_shape)

    @property
    def shared(self) -> bool:
        """Whether one decomposition of the surrogate serves all observations."""
        return self.surrogate.shared

    def residual(self, x: Tensor) -> Tensor:
        """(y_tau - A x) / std, of shape `(B, *out_shape)`."""
        return (self.diffused - self.operator(self.flux * x)) / self.std

    def modes(self) -> tuple[Tensor, Tensor]:
        """Right singular vectors `(D, K)` and singular values `(K,)` of flux / std A, in float64; computed once."""
        found = self._modes
        if callable(found):
            found = self._modes = found()
        return found

    def _own_modes(self) -> tuple[Tensor, Tensor]:
        return modes(self.flux / self.std * self.operator.matrix(torch.float64).to(self.y.device))

    def score(self, x: Tensor) -> Tensor:
        """grad_x log p(y_tau | x), shape of x, `(B, *in_shape)`; B = O if y is a batch."""
        s = noise_score(self.noise, self.residual(x), self.level).to(x.dtype)
        return -self.flux / self.std * self.operator.adjoint(s)

    def to(self, device=None, dtype: torch.dtype | None = None) -> ScoreLikelihood:
        """A copy on a device and in a precision; the noise model stays where it is."""
        moved = copy.copy(self)
        moved.operator = copy.copy(self.operator).to(device, dtype)
        moved.y, moved.diffused = self.y.to(device, dtype), self.diffused.to(device, dtype)
        moved._surrogate = lambda: self.surrogate.to(device, dtype)
        return moved

    def observation(self, o: int) -> ScoreLikelihood:
        """The likelihood of observation number o of a batch."""
        if not self.batched:
            return self
        one = copy.copy(self)
        one.y, one.diffused = self.y[o], self.diffused[o]
        one._surrogate = lambda: self.surrogate.observation(o)
        return one
