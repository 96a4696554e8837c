r"""Noise of a drizzled detector: correlated, with stripes and particle hits.

On the detector, a pixel holds white read and sky noise of unit variance, the offset of its row, and charge left by
particles:

.. math:: n = k \star \Big( w + o_\mathrm{row} + \sum_t \textrm{track}_t + \textrm{hot} \Big) , \qquad \sum k^2 = 1

The row offsets are Gaussian, with a different level in every exposure. A cosmic ray leaves charge along a straight
line; a hot pixel is a single pixel. Resampling (drizzle) convolves everything with a kernel k. The Gaussian part w
still has unit variance after resampling, so the noise is in units of the standard deviation of its core. Hits are
positive and are not removed: the mean of the noise is not zero, and its tail is far heavier than that of a Gaussian.

References: Casertano et al. (2000), arXiv:astro-ph/0010245, appendix A (correlation by drizzle); Legin et al. (2023),
arXiv:2302.03046 (detector noise as a score model). Rates and energies are of the order of those of a long exposure in
low orbit. The energies are cut at a few tens of sigma, because brighter hits are masked in practice.
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from .base import Simulator

__all__ = ["Noise", "detector", "drizzle_kernel"]

LONGEST = 16.0  # longest track [pixel]
SPACING = 0.25  # distance between the charges along a track [pixel]
MARGIN = 4  # border simulated around the image and cut off after resampling; few tracks come from farther away [pixel]


def drizzle_kernel(sigma: float, radius: int = 2) -> np.ndarray:
    """The factor f, shape `(2 radius + 1,)`, of the separable kernel k = outer(f, f); sum f^2 = 1."""
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
    # the last charge of a track is a fraction
    part = np.clip((length[:, None] - along) / SPACING + 0.5, 0, 1)
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
    """m log-normal charges, cut at `brightest`."""
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
    """The simulator of this module."""

    kind = "noise"

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """n independent exposures, float32 of shape `(n, 1, pixels, pixels)`, in units of the core's sigma.

        Raises:
            ValueError: for an unknown setting.
        """
        s, g = Noise.completed(settings), np.random.default_rng(seed)
        f, out = drizzle_kernel(s["kernel"]), np.empty((n, 1, pixels, pixels), np.float32)
        chunk, half = 512, len(f) // 2
        for start in tqdm(range(0, n, chunk), desc="noise", unit_scale=chunk, disable=not progress):
            image = detector(min(chunk, n - start), pixels + 2 * MARGIN, s, g)
            for axis in (1, 2):
                image = sum(w * np.roll(image, k - half, axis) for k, w in enumerate(f))
            out[start : start + chunk, 0] = image[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return out
