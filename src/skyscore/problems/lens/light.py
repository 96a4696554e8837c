r"""Light of the lens galaxy: a multi-Gaussian expansion.

.. math:: I(x, y) = c + \sum_{f} \sum_k a_{fk} \exp\left(-\frac{m_f^2(x, y)}{2 \sigma_k^2}\right), \quad
    m_f^2 = q_f u^2 + v^2 / q_f

with (u, v) the coordinates along the major and minor axis of family f. All families share one centre, the widths
:math:`\sigma_k` form a geometric progression, and the result is convolved with the point-spread function. The model is
linear in the amplitudes and nonlinear in the centre and in each family's ellipticity :math:`(e_1, e_2) =
\frac{1-q}{1+q} (\cos 2\phi, \sin 2\phi)`. Two families can follow a twist of the isophotes or a disk.

References: Emsellem, Monnet & Bacon (1994), A&A 285, 723; Cappellari (2002), arXiv:astro-ph/0201430.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from skyscore.operators.convolution import Convolution
from skyscore.operators.lensing import pixel_grid

__all__ = ["LightModel", "axis_ratio_angle", "ellipticity", "non_negative_amplitudes"]


def ellipticity(q: float, phi: float) -> tuple[float, float]:
    """(e1, e2) of axis ratio q and position angle phi (radians)."""
    e = (1 - q) / (1 + q)
    return e * math.cos(2 * phi), e * math.sin(2 * phi)


def axis_ratio_angle(e1: float, e2: float) -> tuple[float, float]:
    """Axis ratio q and position angle phi (radians, 0 to pi) of (e1, e2); |e| is limited to 0.9."""
    e = min(math.hypot(e1, e2), 0.9)
    return (1 - e) / (1 + e), (0.5 * math.atan2(e2, e1)) % math.pi


@dataclass
class LightModel:
    """The basis images of one lens galaxy.

    Attributes:
        shape: `(H, W)` of the image.
        scale: pixel of the image (arcsec).
        psf: point-spread function on these pixels, odd sides.
        sigmas: widths of the Gaussians (arcsec).
        families: number of families of ellipses.
        sky: whether a constant is part of the basis.
        subpixels: Gauss-Legendre nodes per side of a pixel.
    """

    shape: tuple[int, ...]
    scale: float
    psf: Tensor
    sigmas: tuple[float, ...]
    families: int = 2
    sky: bool = True
    subpixels: int = 3

    @property
    def components(self) -> int:
        """Number K of basis images."""
        return self.families * len(self.sigmas) + int(self.sky)

    def basis(self, parameters) -> Tensor:
        """Images of unit amplitude `(K, H, W)` for `parameters` (x0, y0, e1, e2, e1', e2', ...), lengths in arcsec."""
        ph, pw = self.psf.shape[0] // 2, self.psf.shape[1] // 2
        x, y = pixel_grid((self.shape[0] + 2 * ph, self.shape[1] + 2 * pw), self.scale)
        nodes, weights = np.polynomial.legendre.leggauss(self.subpixels)
        images = torch.zeros(self.families * len(self.sigmas), *x.shape, dtype=torch.float64)
        for f in range(self.families):
            q, phi = axis_ratio_angle(*map(float, parameters[2 + 2 * f : 4 + 2 * f]))
            for k, width in enumerate(self.sigmas):
                narrow = width < 3 * self.scale  # wider Gaussians equal their pixel averages to 1 %
                rule = zip(nodes / 2, weights / 2, strict=True) if narrow else [(0.0, 1.0)]
                rule = [(float(d) * self.scale, float(w)) for d, w in rule]
                part = images[f * len(self.sigmas) + k]
                for dy, wy in rule:
                    for dx, wx in rule:
                        dX, dY = x + dx - float(parameters[0]), y + dy - float(parameters[1])
                        u = dX * math.cos(phi) + dY * math.sin(phi)
                        v = dY * math.cos(phi) - dX * math.sin(phi)
                        part += wx * wy * torch.exp((q * u**2 + v**2 / q) / (-2 * width**2))
        convolved = Convolution(self.psf.double(), self.shape, padded=True)(images[:, None])[:, 0]
        if self.sky:
            convolved = torch.cat((convolved, torch.ones(1, *self.shape, dtype=torch.float64)))
        return convolved


def non_negative_amplitudes(basis: Tensor, image: Tensor, weight: Tensor) -> tuple[Tensor, float]:
    """Amplitudes (K,) that minimise the weighted squares with non-negative Gaussians, and the minimum.

    Arguments:
        basis: `(K, N)`; the last row is the sky, which may have either sign.
        image, weight: `(N,)`; weight = 1 / standard deviation, 0 for pixels left out.
    """
    A = (basis * weight).numpy().T
    A = np.concatenate((A, -A[:, -1:]), axis=1)  # the sky: a difference of two non-negative numbers
    # the normal equations are small: their triangular factor gives the same minimum in far less time
    gram = A.T @ A
    root = np.linalg.cholesky(gram + 1e-10 * np.trace(gram) / len(gram) * np.eye(len(gram)))
    rhs = np.linalg.solve(root, A.T @ (image * weight).numpy())
    a, _ = nnls(root.T, rhs, maxiter=100 * len(gram))
    residual = A @ a - (image * weight).numpy()
    amplitudes = np.append(a[:-2], a[-2] - a[-1])
    return torch.tensor(amplitudes), float(residual @ residual)
