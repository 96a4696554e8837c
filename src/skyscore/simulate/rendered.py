"""Base class of sources that are described by parameters and rendered on pixels."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d
from tqdm import tqdm

from .base import Simulator

__all__ = ["CELLS", "OVERSAMPLE", "Rendered", "averaged", "fine_axis"]

# points rendered together: 64 images of 128 pixels at once would not stay in the cache and take four times as long
AT_ONCE = 2**18
OVERSAMPLE = 4  # points on a side of a pixel, over which brightness is averaged
CELLS = 16  # cells on a side of the field; the brightest cell sets the unit of brightness


def fine_axis(pixels: int) -> Tensor:
    """Coordinates of the points, `(pixels * OVERSAMPLE,)`, in units of half the field, 0 in its middle."""
    side = pixels * OVERSAMPLE
    return (torch.arange(side, dtype=torch.float32) + 0.5) / side * 2 - 1


def averaged(light: Tensor, log_peak: Tensor) -> Tensor:
    """Pixels `(n, 1, h, w)` from brightness at the points `(n, H, W)`; the brightest cell is exp(log_peak), `(n,)`."""
    image = avg_pool2d(light[:, None], OVERSAMPLE)
    brightest = adaptive_avg_pool2d(image, CELLS).amax(dim=(1, 2, 3))
    return image * (log_peak.exp() / brightest)[:, None, None, None]


class Rendered(Simulator):
    """Independent sources whose parameters do not depend on the number of pixels.

    A seed gives the same sources at any number of pixels.
    """

    @staticmethod
    def draw(n: int, settings: dict, generator: np.random.Generator, /) -> dict[str, np.ndarray]:
        """Parameters of n sources, each an array `(n, ...)`.

        Raises:
            NotImplementedError: if the kind defines none.
        """
        raise NotImplementedError("a rendered kind of source must define draw(n, settings, generator)")

    @staticmethod
    def render(parameters: dict[str, Tensor], pixels: int, /) -> Tensor:
        """Surface brightness `(n, 1, pixels, pixels)` in prior units.

        Raises:
            NotImplementedError: if the kind defines none.
        """
        raise NotImplementedError("a rendered kind of source must define render(parameters, pixels)")

    @classmethod
    def simulate(
        cls, n: int, pixels: int, settings: dict | None = None, seed: int = 0, progress: bool = False
    ) -> np.ndarray:
        """n sources, float32 `(n, 1, pixels, pixels)`, positive, in prior units (peaks of order 1).

        Raises:
            ValueError: for an unknown setting, or fewer than 16 pixels.
        """
        if pixels < CELLS:
            raise ValueError(f"{cls.kind}: {pixels} pixels are too few for a source; use {CELLS} or more")
        drawn = cls.draw(n, cls.completed(settings), np.random.default_rng(seed))
        p = {key: torch.as_tensor(value, dtype=torch.float32) for key, value in drawn.items()}
        images = np.empty((n, 1, pixels, pixels), np.float32)
        chunk = max(1, AT_ONCE // (OVERSAMPLE * pixels) ** 2)
        for start in tqdm(range(0, n, chunk), cls.kind, unit_scale=chunk, disable=not progress):
            part = slice(start, start + chunk)
            images[part] = cls.render({key: value[part] for key, value in p.items()}, pixels).numpy()
        return images
