r"""Strong gravitational lensing of a pixelated source.

A ray through the image position :math:`\theta` (arcsec) meets the source plane at

.. math:: \beta(\theta) = \theta - \alpha(\theta), \qquad
    \alpha = \alpha_\mathrm{EPL}(\theta; \theta_E, q, \phi, x_0, y_0, t)
    + (\gamma_1 x + \gamma_2 y,\ \gamma_2 x - \gamma_1 y)

and surface brightness is conserved. The image is the average of the bilinearly interpolated source over each pixel
(Gauss-Legendre sub-rays), which is a sparse matrix; then come the point-spread function and the mask.

The deflections are those of `caustics` (Stone et al. 2024, arXiv:2406.15542): the isothermal ellipsoid of Keeton
(2001, arXiv:astro-ph/0102341) and the elliptical power law of Tessore & Metcalf (2015, arXiv:1507.01819).
So is the definition of the Einstein radius, on the intermediate axis: the critical curve of an isothermal ellipsoid
encloses the area :math:`\pi \theta_E^2` for any q.
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor

from .base import LinearOperator
from .composition import Composition, Mask
from .convolution import Convolution

__all__ = [
    "LENS_PARAMETERS",
    "RayTracing",
    "annulus",
    "critical_area_radius",
    "deflection",
    "lens_operator",
    "pixel_grid",
]

LENS_PARAMETERS = ("theta_E", "q", "phi", "x0", "y0", "t", "gamma_1", "gamma_2")


def deflection(x: Tensor, y: Tensor, lens: dict) -> tuple[Tensor, Tensor]:
    """Reduced deflection angle (arcsec) along x and y, each of the shape of x and y (arcsec).

    Arguments:
        x, y: image positions (arcsec).
        lens: `theta_E` (arcsec), `q`, `phi` (radians, of the major axis from +x to +y), `x0`, `y0` (arcsec), and
            optionally `t` (slope of the deflection, gamma' - 1: 1 is isothermal), `gamma_1`, `gamma_2` (shear about
            the origin).

    Raises:
        ValueError: for an unknown or missing parameter.
    """
    from caustics.lenses.func import (  # imported here, because it takes a second that other problems do not need
        reduced_deflection_angle_epl,
        reduced_deflection_angle_external_shear,
        reduced_deflection_angle_sie,
    )

    unknown = set(lens) - set(LENS_PARAMETERS)
    missing = set(LENS_PARAMETERS[:5]) - set(lens)
    if unknown or missing:
        raise ValueError(f"lens: unknown parameters {sorted(unknown)}, missing parameters {sorted(missing)}")
    p = {k: torch.as_tensor(v, dtype=x.dtype, device=x.device) for k, v in lens.items()}
    q = p["q"].clamp(max=1 - 1e-6)  # the closed forms divide by 1 - q
    shape = (p["x0"], p["y0"], q, p["phi"], p["theta_E"])
    if float(lens.get("t", 1.0)) == 1.0:
        ax, ay = reduced_deflection_angle_sie(*shape, x, y)
    else:
        ax, ay = reduced_deflection_angle_epl(*shape, p["t"], x, y, n_iter=18, chunk_size=1)
    zero = torch.zeros((), dtype=x.dtype, device=x.device)
    gx, gy = reduced_deflection_angle_external_shear(
        zero, zero, p.get("gamma_1", zero), p.get("gamma_2", zero), x, y
    )
    return ax + gx, ay + gy


def pixel_grid(shape: tuple[int, ...], scale: float, dtype=torch.float64) -> tuple[Tensor, Tensor]:
    """Pixel centres x, y (arcsec), each of shape `(H, W)`; the origin is the middle of the frame, and rows are y."""
    y, x = ((torch.arange(n, dtype=dtype) - (n - 1) / 2) * scale for n in shape)
    return x.expand(shape), y[:, None].expand(shape)


class RayTracing(LinearOperator):
    """The sparse operator from source pixels to image pixels.

    Arguments:
        lens: parameters, see :func:`deflection`.
        shape: `(H, W)` of the image.
        scale: size of an image pixel (arcsec).
        source_shape: `(h, w)` of the source.
        source_scale: size of a source pixel (arcsec).
        source_center: x, y (arcsec) of the middle of the source frame.
        subpixels: Gauss-Legendre nodes per side of an image pixel.
        dtype: precision of the matrix.

    Shapes: `(B, 1, h, w)` to `(B, 1, H, W)`. The source is zero beyond one source pixel outside its frame.
    """

    def __init__(
        self,
        lens: dict,
        shape: tuple[int, int],
        scale: float,
        source_shape: tuple[int, int],
        source_scale: float,
        source_center: tuple[float, float] = (0.0, 0.0),
        subpixels: int = 4,
        dtype: torch.dtype = torch.float64,
    ):
        self.in_shape, self.out_shape = (1, *source_shape), (1, *shape)
        x, y = pixel_grid(shape, scale)
        nodes, weights = np.polynomial.legendre.leggauss(subpixels)
        u, w = torch.tensor(nodes / 2 * scale), torch.tensor(weights / 2)
        x = (x[..., None, None] + u).expand(*shape, subpixels, subpixels)
        y = (y[..., None, None] + u[:, None]).expand(*shape, subpixels, subpixels)
        ax, ay = deflection(x, y, lens)
        # source pixel coordinates of every ray
        j = (x - ax - source_center[0]) / source_scale + (source_shape[1] - 1) / 2
        i = (y - ay - source_center[1]) / source_scale + (source_shape[0] - 1) / 2
        weight = (w[:, None] * w).expand_as(i)
        self.A = _bilinear(i, j, weight, source_shape).to(dtype)
        self.At = _transpose(self.A)

    def __call__(self, x: Tensor) -> Tensor:
        return _SparseProduct.apply(x.flatten(1), self.A, self.At).unflatten(1, self.out_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return _SparseProduct.apply(y.flatten(1), self.At, self.A).unflatten(1, self.in_shape)


def _bilinear(i: Tensor, j: Tensor, weight: Tensor, source_shape: tuple[int, int]) -> Tensor:
    """Sparse matrix `(H W, h w)` of the weighted bilinear interpolation at rows i, columns j, each `(H, W, n, n)`."""
    (H, W, n, _), (h, w) = i.shape, source_shape
    row = torch.arange(H * W).repeat_interleave(n * n)
    i, j, weight = i.flatten(), j.flatten(), weight.flatten()
    i0, j0 = i.floor(), j.floor()
    rows, columns, values = [], [], []
    for di in (0, 1):
        for dj in (0, 1):
            value = weight * (1 - (i - i0 - di).abs()) * (1 - (j - j0 - dj).abs())
            a, b = i0 + di, j0 + dj
            keep = (a >= 0) & (a < h) & (b >= 0) & (b < w) & (value != 0)
            rows.append(row[keep])
            columns.append((a * w + b)[keep].long())
            values.append(value[keep])
    return _csr(torch.cat(rows), torch.cat(columns), torch.cat(values), (H * W, h * w))


def _transpose(A: Tensor) -> Tensor:
    coo = A.to_sparse_coo().coalesce()
    row, column = coo.indices()
    return _csr(column, row, coo.values(), (A.shape[1], A.shape[0]))


def _csr(row: Tensor, column: Tensor, value: Tensor, shape: tuple[int, int]) -> Tensor:
    """A matrix in compressed sparse rows; entries at the same position are added."""
    with warnings.catch_warnings():
        # torch warns that the format is in beta; the tests check its products
        warnings.simplefilter("ignore", UserWarning)
        coo = torch.sparse_coo_tensor(torch.stack((row, column)), value, shape, check_invariants=False)
        return coo.coalesce().to_sparse_csr()


class _SparseProduct(torch.autograd.Function):
    """x A' for a batch of rows x; its derivative is the product with the stored transpose, to any order."""

    @staticmethod
    def forward(ctx, x: Tensor, A: Tensor, At: Tensor) -> Tensor:
        ctx.matrices = (A, At)
        return (A.to(x.dtype) @ x.T.contiguous()).T

    @staticmethod
    def backward(ctx, g: Tensor):
        A, At = ctx.matrices
        return _SparseProduct.apply(g, At, A), None, None


def lens_operator(
    lens: dict,
    shape: tuple[int, ...],
    scale: float,
    source_shape: tuple[int, int],
    source_scale: float,
    source_center: tuple[float, float] = (0.0, 0.0),
    psf: Tensor | None = None,
    keep: Tensor | None = None,
    subpixels: int = 4,
    dtype: torch.dtype = torch.float64,
) -> LinearOperator:
    """Ray tracing, point-spread function and mask: `(B, 1, h, w)` to `(B, 1, H, W)`, or `(B, M)` with a mask.

    The arguments are those of :class:`RayTracing`, and:

    Arguments:
        psf: point-spread function of shape `(p, p)`, on image pixels.
        keep: boolean `(H, W)`, True for data pixels.
    """
    H, W = shape
    ph, pw = (0, 0) if psf is None else (psf.shape[0] // 2, psf.shape[1] // 2)
    padded = (H + 2 * ph, W + 2 * pw)
    steps: list[LinearOperator] = [
        RayTracing(lens, padded, scale, source_shape, source_scale, source_center, subpixels, dtype)
    ]
    if psf is not None:
        steps.append(Convolution(psf.to(dtype), shape, padded=True))
    if keep is not None:
        steps.append(Mask(keep))
    return steps[0] if len(steps) == 1 else Composition(*steps)


def annulus(shape: tuple[int, int], scale: float, radii, center=(0.0, 0.0)) -> np.ndarray:
    """Boolean mask `(H, W)` of the pixels whose distance from `center` (arcsec) lies between two radii (arcsec)."""
    x, y = pixel_grid(tuple(shape), scale)
    r = torch.hypot(x - center[0], y - center[1])
    return ((r >= radii[0]) & (r <= radii[1])).numpy()


def critical_area_radius(lens: dict, extent: float = 4.0, pixels: int = 801) -> float:
    """Effective Einstein radius (arcsec): sqrt(area inside the tangential critical curve / pi), measured on a grid.

    Arguments:
        lens: parameters, see :func:`deflection`.
        extent: half side of the grid (arcsec).
        pixels: pixels on a side of the grid.
    """
    step = 2 * extent / pixels
    x, y = pixel_grid((pixels, pixels), step)
    h = 1e-4
    axx, ayx = (a - b for a, b in zip(deflection(x + h, y, lens), deflection(x - h, y, lens), strict=True))
    axy, ayy = (a - b for a, b in zip(deflection(x, y + h, lens), deflection(x, y - h, lens), strict=True))
    kappa, shear = (axx + ayy) / (4 * h), torch.hypot((axx - ayy) / 2, (axy + ayx) / 2) / (2 * h)
    return math.sqrt(float((1 - kappa - shear < 0).sum()) * step**2 / math.pi)
