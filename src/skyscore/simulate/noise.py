r"""Noise of a drizzled detector: correlated, striped, and hit by particles.

On the detector a pixel holds white read and sky noise of unit variance, its row's offset, and what particles left:

.. math:: n = k \star \Big( w + o_\mathrm{row} + \sum_t \textrm{track}_t + \textrm{hot} \Big) , \qquad \sum k^2 = 1

The offsets of the rows are Gaussian, with a level of its own in every exposure; a cosmic ray leaves charge along a
straight line; a hot pixel is a pixel by itself. Resampling (drizzle) convolves all of it with a kernel k. The Gaussian
part of w has unit variance after it too: the noise is in units of its core's standard deviation. Hits are positive and
left in: the mean of the noise is not zero, its tail is far heavier than a Gaussian's.

References: Casertano et al. (2000), arXiv:astro-ph/0010245, appendix A (correlation by drizzle); Legin et al. (2023),
arXiv:2302.03046 (detector noise as a score model). Rates and energies are of the order of a long exposure's in low
orbit, the energies cut at a few tens of sigma: brighter hits are masked in practice.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from tqdm import tqdm

from .base import Simulator

__all__ = ["SETTINGS", "Noise", "detector", "drizzle_kernel"]

# fmt: off
SETTINGS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "kernel": {"type": "number", "minimum": 0, "default": 0.5, "unit": "pixel",
            "description": "Gaussian sigma of the resampling kernel; 0 leaves neighbours uncorrelated."},
        "stripes": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2,
            "default": [0.35, 0.6], "unit": "core sigma",
            "description": "Standard deviation of the rows' offsets on the detector: median over exposures, "
                "scatter of its natural logarithm."},
        "tracks": {"type": "number", "minimum": 0, "default": 2.5, "unit": "1 / 1000 pixels",
            "description": "Mean number of cosmic rays."},
        "track_length": {"type": "number", "exclusiveMinimum": 0, "default": 4.0, "unit": "pixel",
            "description": "Mean length of their tracks, exponentially distributed up to 16 pixels."},
        "track_charge": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2,
            "default": [10.0, 0.35], "unit": "core sigma",
            "description": "Charge left per pixel of length: median, scatter of its natural logarithm."},
        "hot": {"type": "number", "minimum": 0, "default": 3.0, "unit": "1 / 1000 pixels",
            "description": "Mean number of hot pixels."},
        "hot_charge": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2,
            "default": [9.0, 0.35], "unit": "core sigma",
            "description": "Charge in one: median, scatter of its natural logarithm."},
        "brightest": {"type": "number", "exclusiveMinimum": 0, "default": 20.0, "unit": "core sigma",
            "description": "Charges beyond this, of a hot pixel or per pixel of a track, are cut to it."},
    },
}
# fmt: on
LONGEST = 16.0  # track [pixel]
SPACING = 0.25  # of the charges along a track [pixel]
MARGIN = (
    4  # simulated around the image and cut away after resampling; tracks from farther off are few [pixel]
)


def drizzle_kernel(sigma: float, radius: int = 2) -> np.ndarray:
    """The kernel k, separable: k = outer(f, f) with f of shape `(2 radius + 1,)`, returned; sum f^2 = 1."""
    t = np.arange(-radius, radius + 1)
    f = np.exp(-0.5 * (t / sigma) ** 2) if sigma > 0 else (t == 0).astype(float)
    return f / np.sqrt((f**2).sum())


def tracks(n: int, side: int, s: dict, g: np.random.Generator) -> np.ndarray:
    """Cosmic rays on n detectors, `(n, side, side)`: charges every quarter pixel, shared by the four nearest pixels."""
    count = g.poisson(s["tracks"] * side**2 / 1000, n)
    image = np.repeat(np.arange(n), count)
    m = len(image)
    x, y, angle = g.uniform(-0.5, side - 0.5, m), g.uniform(-0.5, side - 0.5, m), g.uniform(0, 2 * np.pi, m)
    length = np.minimum(g.exponential(s["track_length"], m), LONGEST)
    charge = charges(m, s["track_charge"], s["brightest"], g)
    along = (np.arange(round(LONGEST / SPACING)) + 0.5) * SPACING
    part = np.clip(
        (length[:, None] - along) / SPACING + 0.5, 0, 1
    )  # the last charge of a track is a fraction
    px, py = x[:, None] + along * np.cos(angle)[:, None], y[:, None] + along * np.sin(angle)[:, None]
    out = np.zeros((n, side, side))
    column, row = np.floor(px).astype(int), np.floor(py).astype(int)
    for dy in (0, 1):
        for dx in (0, 1):
            share = (1 - np.abs(px - column - dx)) * (1 - np.abs(py - row - dy)) * part * SPACING
            inside = (
                (column + dx >= 0) & (column + dx < side) & (row + dy >= 0) & (row + dy < side) & (part > 0)
            )
            t, k = np.nonzero(inside)
            at = (image[t], row[t, k] + dy, column[t, k] + dx)
            np.add.at(out, at, share[t, k] * charge[t])
    return out


def charges(m: int, law: list[float], brightest: float, g: np.random.Generator) -> np.ndarray:
    """m log-normal charges, cut at the brightest."""
    return np.minimum(law[0] * np.exp(law[1] * g.standard_normal(m)), brightest)


def detector(n: int, side: int, s: dict, g: np.random.Generator) -> np.ndarray:
    """n exposures `(n, side, side)` before resampling, in units of the white noise."""
    image = g.standard_normal((n, side, side))
    level = s["stripes"][0] * np.exp(s["stripes"][1] * g.standard_normal(n))
    image += level[:, None, None] * g.standard_normal((n, side, 1))
    image += tracks(n, side, s, g)
    hot = g.random((n, side, side)) < s["hot"] / 1000
    image[hot] += charges(int(hot.sum()), s["hot_charge"], s["brightest"], g)
    return image


class Noise(Simulator):
    """See the module."""

    kind = "noise"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """n independent exposures, float32 of shape `(n, 1, pixels, pixels)`, in units of the core's sigma.

        Raises:
            ValueError: for a setting that does not exist.
        """
        s, g = Noise.completed(settings), np.random.default_rng(seed)
        f, out = drizzle_kernel(s["kernel"]), np.empty((n, 1, pixels, pixels), np.float32)
        chunk, reach = 512, len(f) // 2
        for start in tqdm(range(0, n, chunk), desc="noise", unit_scale=chunk, disable=not progress):
            image = detector(min(chunk, n - start), pixels + 2 * MARGIN, s, g)
            for axis in (1, 2):
                image = sum(w * np.roll(image, k - reach, axis) for k, w in enumerate(f))
            out[start : start + chunk, 0] = image[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return out
