r"""Gaussian noise laws.

A law has `whiten` (:math:`\Sigma^{-1/2} r`: unit variance, uncorrelated), `covariance` (:math:`\Sigma v`), `solve`
(:math:`\Sigma^{-1} v`) and `sample`.

The noise of resampled (drizzled) images is correlated between neighbouring pixels, and its level depends on the
light:

.. math:: \Sigma_{ij} = d_i \, \rho(i - j) \, d_j

on the unmasked pixels i, j, with a stationary correlation of compact support, :math:`\rho = k \star k` (the
autocorrelation of a kernel, which is positive definite for any k). If pixels are ordered by image rows, and rows are
grouped into blocks no thinner than the support, :math:`\Sigma` is block tridiagonal. Its Cholesky factor L is then
block bidiagonal and exact, and :math:`L^{-1}` whitens.

Reference: Casertano et al. (2000), AJ 120, 2747, arXiv:astro-ph/0010245, appendix A (drizzle's correlated noise).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["CorrelatedNoise", "DiagonalNoise"]


class DiagonalNoise:
    """Independent noise.

    Arguments:
        std: standard deviation, a positive tensor of the data's shape, in their units.

    Raises:
        ValueError: if a standard deviation is not positive.
    """

    def __init__(self, std: Tensor):
        if not bool((std > 0).all()):
            raise ValueError("DiagonalNoise: the standard deviation must be positive everywhere")
        self.std = std

    def whiten(self, r: Tensor) -> Tensor:
        """Sigma^-1/2 r, shape of r."""
        return r / self.std.to(r.dtype)

    def covariance(self, v: Tensor) -> Tensor:
        """Sigma v, shape of v."""
        return v * self.std.to(v.dtype) ** 2

    def solve(self, v: Tensor) -> Tensor:
        """Sigma^-1 v, shape of v."""
        return v / self.std.to(v.dtype) ** 2

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws, shape `(n, *std.shape)`."""
        return self.std * torch.randn((n, *self.std.shape), generator=generator, dtype=self.std.dtype)

    def to(self, device=None, dtype=None) -> DiagonalNoise:
        """Moves the law to a device; returns it."""
        self.std = self.std.to(device, dtype)
        return self

    def gram(self, A: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
        """See :meth:`CorrelatedNoise.gram`."""
        W, z = A.double() / self.std.double()[:, None], self.whiten(y.double())
        return W.T @ W, W.T @ z, float(z @ z)


class CorrelatedNoise:
    """Correlated noise of a drizzled image, on its unmasked pixels.

    Arguments:
        std: d, the standard deviation of every pixel, shape `(H, W)`, in the data's units.
        rho: correlation at lags -S..S in rows and columns, shape `(2 S + 1, 2 S + 1)`: 1 in the middle, symmetric
            under point reflection, positive definite.
        keep: boolean `(H, W)`, True for data pixels; a data vector lists them in row-major order, `(B, M)`.

    Raises:
        ValueError: if shapes do not fit, a standard deviation is not positive, or the correlation is not positive
            definite.
    """

    def __init__(self, std: Tensor, rho: Tensor, keep: Tensor):
        S = rho.shape[0] // 2
        if rho.shape != (2 * S + 1, 2 * S + 1) or std.shape != keep.shape:
            shapes = f"std {tuple(std.shape)}, rho {tuple(rho.shape)}, mask {tuple(keep.shape)}"
            raise ValueError(f"CorrelatedNoise: the shapes {shapes} do not fit")
        if not torch.allclose(rho, rho.flip(0, 1)) or abs(float(rho[S, S]) - 1) > 1e-12:
            raise ValueError("CorrelatedNoise: rho must be 1 at lag 0 and symmetric under point reflection")
        self.rho, self.keep, self.support = rho.double(), keep.bool(), S
        self.std = std.double()[self.keep]  # (M,)
        if not bool((self.std > 0).all()):
            raise ValueError(
                "CorrelatedNoise: the standard deviation must be positive on every unmasked pixel"
            )
        self._blocks: list[slice] | None = None

    def _factor(self) -> list[slice]:
        """Computes the block bidiagonal Cholesky factor: diagonal blocks L_kk and sub-diagonal blocks L_k,k-1."""
        rows, columns = self.keep.nonzero(as_tuple=True)
        width = max(1, int(self.keep.sum(1).max()))
        # rows per block: at least the support, and enough for fast algebra
        thick = max(self.support, -(-256 // width), 1)
        edges = [int((rows < r).sum()) for r in range(int(rows.min()), int(rows.max()) + 1 + thick, thick)]
        blocks = [slice(a, b) for a, b in pairwise(edges) if b > a]
        self._diagonal: list[Tensor] = []
        self._below: list[Tensor] = []
        for k, here in enumerate(blocks):
            C = self._entries(rows, columns, here, here)
            if k > 0:
                B = self._entries(rows, columns, here, blocks[k - 1])
                B = torch.linalg.solve_triangular(self._diagonal[-1], B.T, upper=False).T
                C = C - B @ B.T
                self._below.append(B)
            L, info = torch.linalg.cholesky_ex(C)
            if int(info) != 0:
                raise ValueError("CorrelatedNoise: the correlation is not positive definite")
            self._diagonal.append(L)
        return blocks

    def _entries(self, rows: Tensor, columns: Tensor, a: slice, b: slice) -> Tensor:
        """Entries of Sigma between the pixels of blocks a and b."""
        di, dj = rows[a, None] - rows[None, b], columns[a, None] - columns[None, b]
        S = self.support
        inside = (di.abs() <= S) & (dj.abs() <= S)
        rho = self.rho[(di + S).clamp(0, 2 * S), (dj + S).clamp(0, 2 * S)]
        return torch.where(inside, rho, torch.zeros((), dtype=rho.dtype, device=rho.device)) * (
            self.std[a, None] * self.std[None, b]
        )

    @property
    def blocks(self) -> list[slice]:
        """The pixels of each block; computed with the Cholesky factor at the first call."""
        if self._blocks is None:
            self._blocks = self._factor()
        return self._blocks

    def _forward(self, columns: Tensor):
        """Solves L w = v block by block; yields each block and its w; columns of shape `(M, n)`."""
        before = columns  # not used in the first block
        for k, here in enumerate(self.blocks):
            v = columns[here].double()
            if k > 0:
                v = v - self._below[k - 1] @ before
            before = torch.linalg.solve_triangular(self._diagonal[k], v, upper=False)
            yield here, before

    def whiten(self, r: Tensor) -> Tensor:
        """L^-1 r, shape `(B, M)` (or `(M,)`), in the dtype of r."""
        flat = r.reshape(-1, r.shape[-1]).T
        out = torch.cat([w for _, w in self._forward(flat)])
        return out.T.reshape(r.shape).to(r.dtype)

    def solve(self, v: Tensor) -> Tensor:
        """Sigma^-1 v, shape of v."""
        w = self.whiten(v.double()).reshape(-1, v.shape[-1]).T.contiguous()
        out, after = torch.empty_like(w), None
        for k in reversed(range(len(self.blocks))):
            here = self.blocks[k]
            u = w[here] if after is None else w[here] - self._below[k].T @ after
            after = torch.linalg.solve_triangular(self._diagonal[k].T, u, upper=True)
            out[here] = after
        return out.T.reshape(v.shape).to(v.dtype)

    def covariance(self, v: Tensor) -> Tensor:
        """Sigma v, shape of v: a convolution with rho between two multiplications with d."""
        flat, S, std = v.reshape(-1, v.shape[-1]), self.support, self.std.to(v.dtype)
        image = torch.zeros(flat.shape[0], 1, *self.keep.shape, dtype=v.dtype, device=v.device)
        image[:, 0, self.keep] = flat * std
        image = torch.nn.functional.conv2d(image, self.rho.to(v.dtype)[None, None], padding=S)
        return (image[:, 0, self.keep] * std).reshape(v.shape)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws L z, shape `(n, M)`."""
        z = torch.randn((len(self.std), n), generator=generator, dtype=torch.float64).to(self.std.device)
        out = torch.empty_like(z)
        for k, here in enumerate(self.blocks):
            out[here] = self._diagonal[k] @ z[here]
            if k > 0:
                out[here] += self._below[k - 1] @ z[self.blocks[k - 1]]
        return out.T

    def gram(self, A: Tensor, y: Tensor) -> tuple[Tensor, Tensor, float]:
        """A' Sigma^-1 A `(D, D)`, A' Sigma^-1 y `(D,)` and y' Sigma^-1 y, given A `(M, D)` and y `(M,)`.

        The whitened columns are computed and used block by block, without a second matrix of the size of A.
        """
        D = A.shape[1]
        G = torch.zeros(D, D, dtype=torch.float64, device=A.device)
        b, yy = torch.zeros(D, dtype=torch.float64, device=A.device), 0.0
        for (_, W), (_, z) in zip(self._forward(A), self._forward(y[:, None]), strict=True):
            G.addmm_(W.T, W)
            b += W.T @ z[:, 0]
            yy += float(z[:, 0] @ z[:, 0])
        return G, b, yy

    def to(self, device=None, dtype=None) -> CorrelatedNoise:
        """Moves the law to a device; returns it. Its algebra stays in float64."""
        self.std, self.rho, self.keep = self.std.to(device), self.rho.to(device), self.keep.to(device)
        self._blocks = None
        return self
