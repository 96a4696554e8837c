r"""From fine to coarse pixels: zero padding, and the average brightness over every coarse pixel.

.. math:: y_{eij} = \sum_{kl} R^{(e)}_{ik} \, x_{kl} \, S^{(e)}_{jl}, \qquad
    R_{ik} = \frac{|\,\text{coarse pixel } i \cap \text{fine pixel } k\,|}{|\,\text{coarse pixel}\,|}

The brightness is constant over a fine pixel, so that the overlaps are exact for every ratio of the pixel scales and
every dither. Values are surface brightness: a coarse pixel holds the mean, and the sum over coarse pixels times
their area is the flux of the image, if the frame contains the image.

Reference: Fruchter & Hook (2002), PASP 114, 144, arXiv:astro-ph/9808087 (overlap weights of drizzle).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .base import LinearOperator
from .composition import Composition
from .convolution import Convolution

__all__ = ["Pad", "Sampling", "exposures", "overlap"]


def overlap(n_out: int, scale_out: float, offset: float, n_in: int, scale_in: float) -> Tensor:
    """Fractions of each coarse pixel that the fine pixels cover, shape `(n_out, n_in)`; both rows are centred on 0.

    Arguments:
        n_out, n_in: number of coarse and of fine pixels.
        scale_out, scale_in: side of a coarse and of a fine pixel, in the same unit.
        offset: position of the middle of the coarse row, in coarse pixels.
    """
    low = (torch.arange(n_out, dtype=torch.float64) - n_out / 2 + offset) * scale_out
    edge = (torch.arange(n_in, dtype=torch.float64) - n_in / 2) * scale_in
    shared = torch.minimum((low + scale_out)[:, None], edge + scale_in) - torch.maximum(low[:, None], edge)
    return shared.clamp(min=0) / scale_out


class Sampling(LinearOperator):
    """The operator from one fine image `(B, 1, h, w)` to E dithered coarse exposures `(B, E, H, W)`.

    Arguments:
        shape_in: `(h, w)` of the fine image.
        scale_in: side of a fine pixel.
        shape_out: `(H, W)` of an exposure.
        scale_out: side of a coarse pixel, in the same unit.
        dithers: offset (y, x) of the middle of each exposure, in coarse pixels.

    Raises:
        ValueError: if there is no exposure or a pixel size is not positive.
    """

    def __init__(
        self,
        shape_in: tuple[int, ...],
        scale_in: float,
        shape_out: tuple[int, ...],
        scale_out: float,
        dithers: Sequence[Sequence[float]] = ((0.0, 0.0),),
    ):
        if not dithers or min(scale_in, scale_out) <= 0:
            raise ValueError(
                f"Sampling: {len(dithers)} exposures, pixels of {scale_in} and {scale_out}; all must be positive"
            )
        rows = [overlap(shape_out[0], scale_out, y, shape_in[0], scale_in) for y, _ in dithers]
        columns = [overlap(shape_out[1], scale_out, x, shape_in[1], scale_in) for _, x in dithers]
        self.rows, self.columns = torch.stack(rows), torch.stack(columns)  # (E, H, h), (E, W, w)
        self.in_shape, self.out_shape = (1, *shape_in), (len(dithers), *shape_out)

    def __call__(self, x: Tensor) -> Tensor:
        return self.rows.to(x.dtype) @ x @ self.columns.to(x.dtype).mT

    def adjoint(self, y: Tensor) -> Tensor:
        return (self.rows.to(y.dtype).mT @ y @ self.columns.to(y.dtype)).sum(1, keepdim=True)


class Pad(LinearOperator):
    """The operator that adds a margin of zeros to an image.

    Arguments:
        shape: `(h, w)` of the image.
        margin: pixels added on each side.

    Shapes: `(B, 1, h, w)` to `(B, 1, h + 2 margin, w + 2 margin)`.
    """

    def __init__(self, shape: tuple[int, int], margin: int):
        self.margin = margin
        self.in_shape, self.out_shape = (1, *shape), (1, *(n + 2 * margin for n in shape))

    def __call__(self, x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (self.margin,) * 4)

    def adjoint(self, y: Tensor) -> Tensor:
        _, h, w = self.in_shape
        return y[..., self.margin : self.margin + h, self.margin : self.margin + w]


def exposures(
    psf: Tensor,
    shape: tuple[int, int],
    scale: float,
    coarse_shape: tuple[int, ...],
    coarse_scale: float,
    dithers: Sequence[Sequence[float]] = ((0.0, 0.0),),
) -> Composition:
    """Dithered exposures of a scene: convolution with the PSF on the scene's pixels, then sampling by coarse pixels.

    The scene is dark outside its frame; its scattered light is included as far as the PSF extends. Arguments and
    errors are those of :class:`Convolution` and :class:`Sampling`.
    """
    margin = max(psf.shape) // 2
    pad = Pad(shape, margin)
    wide = pad.out_shape[1:]
    return Composition(
        pad, Convolution(psf, wide), Sampling(wide, scale, coarse_shape, coarse_scale, dithers)
    )
