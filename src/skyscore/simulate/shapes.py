r"""Sources unlike single galaxies: letters, rings and pairs of galaxies.

They are the truths of the out-of-distribution exercises. A letter consists of strokes with a Gaussian cross-section, a
ring is a Gaussian in the radius,

.. math:: I = \exp[-d^2 / (2 w^2)], \qquad d = \text{distance to the nearest stroke, or } |r - R|

and a pair is two galaxies of :mod:`skyscore.simulate.galaxies`, half as large, side by side. Lengths and brightness are
in the units of that module: half the field, and a largest mean of 1 over a cell, a sixteenth of the field on a side.
"""

from __future__ import annotations

import numpy as np

from .base import Simulator
from .galaxies import Galaxies

__all__ = ["LETTERS", "Shapes", "letter", "ring"]

#: strokes of each letter, from (x, y) to (x, y), in a box with half-width 0.7 and half-height 1
LETTERS = {
    "A": [((-0.7, -1), (0, 1)), ((0, 1), (0.7, -1)), ((-0.4, -0.2), (0.4, -0.2))],
    "E": [((-0.6, -1), (-0.6, 1)), ((-0.6, 1), (0.6, 1)), ((-0.6, 0), (0.4, 0)), ((-0.6, -1), (0.6, -1))],
    "H": [((-0.6, -1), (-0.6, 1)), ((0.6, -1), (0.6, 1)), ((-0.6, 0), (0.6, 0))],
    "K": [((-0.6, -1), (-0.6, 1)), ((-0.6, -0.1), (0.6, 1)), ((-0.2, 0.2), (0.7, -1))],
    "N": [((-0.6, -1), (-0.6, 1)), ((-0.6, 1), (0.6, -1)), ((0.6, -1), (0.6, 1))],
    "X": [((-0.7, -1), (0.7, 1)), ((-0.7, 1), (0.7, -1))],
    "Z": [((-0.6, 1), (0.6, 1)), ((0.6, 1), (-0.6, -1)), ((-0.6, -1), (0.6, -1))],
}
OVERSAMPLE = 4  # finer points on a side of a pixel


def grid(pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the finer points in units of half the field, each (side, side)."""
    side = pixels * OVERSAMPLE
    y, x = (np.mgrid[:side, :side] + 0.5) / side * 2 - 1
    return x, y


def binned(light: np.ndarray) -> np.ndarray:
    """Mean over the finer points of each pixel, scaled to the brightness unit of the module; (pixels, pixels)."""
    pixels = len(light) // OVERSAMPLE
    image = light.reshape(pixels, OVERSAMPLE, pixels, OVERSAMPLE).mean((1, 3))
    cell = max(pixels // 16, 1)
    cut = pixels // cell * cell
    blocks = image[:cut, :cut].reshape(cut // cell, cell, cut // cell, cell).mean((1, 3))
    return image / blocks.max()


def letter(name: str, pixels: int, centre: np.ndarray, size: float = 0.4, width: float = 0.07) -> np.ndarray:
    """A letter of `LETTERS`, (pixels, pixels), of half-height `size`, centred on `centre` (x, y)."""
    x, y = (axis - c for axis, c in zip(grid(pixels), centre, strict=True))
    nearest = np.full(x.shape, np.inf)
    for start, end in np.array(LETTERS[name]) * size:
        along = end - start
        share = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / (along @ along), 0, 1)
        nearest = np.minimum(
            nearest, np.hypot(x - start[0] - share * along[0], y - start[1] - share * along[1])
        )
    return binned(np.exp(-0.5 * (nearest / width) ** 2))


def ring(pixels: int, centre: np.ndarray, radius: float = 0.35, width: float = 0.07) -> np.ndarray:
    """A ring, (pixels, pixels), centred on `centre` (x, y)."""
    x, y = (axis - c for axis, c in zip(grid(pixels), centre, strict=True))
    return binned(np.exp(-0.5 * ((np.hypot(x, y) - radius) / width) ** 2))


def pair(pixels: int, generator: np.random.Generator) -> np.ndarray:
    """Two galaxies, (pixels, pixels), 0.7 to 0.9 of half the field apart at any angle; the second is fainter."""
    small = {"disk_radius": [0.18, 0.2], "offset": 0.0, "brightness_scatter": 0.0}
    both = Galaxies.simulate(2, pixels, small, int(generator.integers(2**31)))[:, 0]
    distance, angle = 0.5 * generator.uniform(0.7, 0.9), generator.uniform(0, 2 * np.pi)
    shift = np.rint(0.5 * pixels * distance * np.array([np.sin(angle), np.cos(angle)])).astype(int)
    image = np.roll(both[0], shift, (0, 1)) + generator.uniform(0.4, 0.9) * np.roll(both[1], -shift, (0, 1))
    return image / max(float(image.max()), 1e-12) * float(both[0].max())


class Shapes(Simulator):
    """The simulator of this module."""

    kind = "shapes"

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """n images, float32 of shape (n, 1, pixels, pixels), in prior units; see :meth:`Simulator.simulate`."""
        own, generator = Shapes.completed(settings), np.random.default_rng(seed)
        images = np.empty((n, 1, pixels, pixels), np.float32)
        for image in images:
            form = own["forms"][generator.integers(len(own["forms"]))]
            centre = 0.08 * generator.standard_normal(2)
            if form == "letter":
                image[0] = letter(own["letters"][generator.integers(len(own["letters"]))], pixels, centre)
            elif form == "ring":
                image[0] = ring(pixels, centre, generator.uniform(0.25, 0.45))
            else:
                image[0] = pair(pixels, generator)
        return images
