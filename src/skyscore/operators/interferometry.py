r"""Radio interferometry: the visibilities of an image, by a non-uniform Fourier transform.

.. math:: V_k = \sum_{ij} B_{ij} \, x_{ij} \, e^{-2 \pi i (u_k l_j + v_k m_i)}, \qquad
    l_j = -\big(j - \tfrac{W - 1}{2}\big) \delta, \quad m_i = \big(i - \tfrac{H - 1}{2}\big) \delta

where x is the flux density per pixel (Jy), B the primary beam, (u, v) the baselines in wavelengths and
:math:`\delta` the pixel size in radians. The row index grows to the north (m), the column index to the **west**:
images show the sky as it is usually drawn, north up and east left, so that l, which grows to the east, falls with
the column. The phase centre is the middle of the frame. The phase of a source in the east (l > 0) falls with u.

Data are real vectors `(B, 2 M)`: the real parts of M visibilities, then the imaginary parts. The adjoint is the
transform of type 1, :math:`B_{ij} \, \mathrm{Re} \sum_k y_k e^{+2 \pi i (u_k l_j + v_k m_i)}`, which is also the
derivative of the forward map. Both can be differentiated in forward and reverse mode, to any order.

References: Thompson, Moran & Swenson (2017), Interferometry and Synthesis in Radio Astronomy (sign);
Barnett, Magland & af Klinteberg (2019), SIAM J. Sci. Comput. 41, C479, arXiv:1808.06736 (FINUFFT).
"""

from __future__ import annotations

import math

import finufft
import numpy as np
import torch
from torch import Tensor

from skyscore.units import ARCSEC, SPEED_OF_LIGHT

from .base import LinearOperator

__all__ = ["Interferometer", "primary_beam", "to_complex", "to_real"]


class Interferometer(LinearOperator):
    """The operator from images `(B, 1, H, W)` in Jy per pixel to visibilities `(B, 2 M)` in Jy.

    Arguments:
        uv: baselines in wavelengths, shape `(M, 2)`, each counted once (its conjugate is the same datum).
        shape: `(H, W)` of the image.
        scale: pixel size (arcsec).
        beam: power response of the antennas, shape `(H, W)`; 1 by default.
        eps: relative accuracy in float64; float32 images are transformed to 1e-6.

    The transform runs on the CPU; tensors on other devices are copied there and back.

    Raises:
        ValueError: if shapes do not fit, or a baseline is too long for the pixels (`|u| scale > 1 / 2`).
    """

    def __init__(
        self, uv, shape: tuple[int, ...], scale: float, beam: Tensor | None = None, eps: float = 1e-9
    ):
        uv = np.asarray(uv, dtype=np.float64)
        if uv.ndim != 2 or uv.shape[1] != 2:
            raise ValueError(f"Interferometer: uv must have shape (M, 2), not {uv.shape}")
        if beam is not None and tuple(beam.shape) != tuple(shape):
            raise ValueError(f"Interferometer: the beam {tuple(beam.shape)} does not fit the image {shape}")
        turns = uv * scale * ARCSEC  # cycles per pixel
        if len(uv) and np.abs(turns).max() > 0.5 * (1 + 1e-9):
            finest = 0.5 / (np.abs(uv).max() * ARCSEC)
            raise ValueError(
                f"Interferometer: pixels of {scale:g} arcsec alias baselines of {np.abs(uv).max():.4g} "
                f"wavelengths; use pixels of at most {finest:.4g} arcsec"
            )
        self.in_shape, self.out_shape = (1, *shape), (2 * len(uv),)
        self.beam = None if beam is None else beam.double()
        self.eps = eps
        self.points = 2 * math.pi * np.ascontiguousarray(np.stack((turns[:, 1], -turns[:, 0])))  # row, column
        # FINUFFT counts pixels from N // 2, this class from (N - 1) / 2
        half = [0.5 * (n % 2 == 0) for n in shape]
        self.phase = np.exp(-1j * (half[0] * self.points[0] + half[1] * self.points[1]))
        self._plans: dict[tuple, finufft.Plan] = {}

    def __call__(self, x: Tensor) -> Tensor:
        return Transform.apply(x, self, False)

    def adjoint(self, y: Tensor) -> Tensor:
        return Transform.apply(y, self, True)

    def forward(self, x: Tensor) -> Tensor:
        """V of images `(B, 1, H, W)`, shape `(B, 2 M)`, without derivatives."""
        _, H, W = self.in_shape
        f = (x if self.beam is None else x * self.beam.to(x)).reshape(-1, H, W).detach().cpu().numpy()
        kind = np.complex64 if x.dtype == torch.float32 else np.complex128
        c = self._execute(2, f.astype(kind)) * self.phase.astype(kind)
        return torch.from_numpy(np.concatenate((c.real, c.imag), 1)).to(x.device)

    def back(self, y: Tensor) -> Tensor:
        """A' y of data `(B, 2 M)`, shape `(B, 1, H, W)`, without derivatives."""
        c = to_complex(y.detach().cpu()).numpy()
        f = self._execute(1, c * self.phase.conj().astype(c.dtype)).real
        x = torch.from_numpy(np.ascontiguousarray(f)).to(y.device)[:, None]
        return x if self.beam is None else x * self.beam.to(x)

    def _execute(self, kind: int, values: np.ndarray) -> np.ndarray:
        """The transform of type `kind` of a batch; its plan, with sorted points, is stored for the next batch."""
        key = (kind, len(values), values.dtype.name, torch.get_num_threads())
        if key not in self._plans:
            while len(self._plans) >= 8:
                self._plans.pop(next(iter(self._plans)))
            single = values.dtype == np.complex64
            plan = finufft.Plan(
                kind,
                self.in_shape[1:],
                n_trans=len(values),
                eps=max(self.eps, 1e-6) if single else self.eps,
                isign=-1 if kind == 2 else 1,
                dtype=values.dtype.name,
                nthreads=torch.get_num_threads(),
            )
            plan.setpts(*self.points.astype(np.float32 if single else np.float64))
            self._plans[key] = plan
        shape = (-1, self.points.shape[1]) if kind == 2 else (-1, *self.in_shape[1:])
        return self._plans[key].execute(np.ascontiguousarray(values)).reshape(shape)

    def to(self, device=None, dtype=None) -> Interferometer:
        """Returns the operator unchanged: the transform runs on the CPU, in the precision of its argument."""
        return self


class Transform(torch.autograd.Function):
    """A or A' as a differentiable function: each is the vector-Jacobian product of the other, and its own Jacobian."""

    @staticmethod
    def forward(x: Tensor, operator: Interferometer, adjoint: bool) -> Tensor:
        return operator.back(x) if adjoint else operator.forward(x)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        _, ctx.operator, ctx.adjoint = inputs

    @staticmethod
    def backward(ctx, gradient: Tensor):
        return Transform.apply(gradient, ctx.operator, not ctx.adjoint), None, None

    @staticmethod
    def jvp(ctx, tangent: Tensor, *_):
        return Transform.apply(tangent, ctx.operator, ctx.adjoint)

    @staticmethod
    def vmap(info, in_dims, x: Tensor, operator: Interferometer, adjoint: bool):
        x = x.movedim(in_dims[0], 0)
        out = Transform.apply(x.flatten(0, 1), operator, adjoint)
        return out.unflatten(0, x.shape[:2]), 0


def to_complex(y: Tensor) -> Tensor:
    """Complex visibilities `(..., M)` from data `(..., 2 M)`."""
    return torch.complex(*y.chunk(2, -1))


def to_real(V: Tensor) -> Tensor:
    """Data `(..., 2 M)` from visibilities `(..., M)`: real parts, then imaginary parts."""
    return torch.cat((V.real, V.imag), -1)


def primary_beam(shape: tuple[int, int], scale: float, frequency: float, dish: float) -> Tensor:
    r"""Gaussian power response `(H, W)` of dishes that point at the middle of the frame, FWHM :math:`1.13 \lambda / D`.

    Arguments:
        shape: `(H, W)` of the image.
        scale: pixel size (arcsec).
        frequency: frequency (GHz).
        dish: diameter D of a dish (m).

    Reference: ALMA Technical Handbook (a 12 m antenna with its taper).
    """
    fwhm = 1.13 * (SPEED_OF_LIGHT / 1e9) / frequency / dish / ARCSEC
    i, j = (scale * (torch.arange(n, dtype=torch.float64) - (n - 1) / 2) for n in shape)
    return torch.exp(-4 * math.log(2) * (i[:, None] ** 2 + j**2) / fwhm**2)
