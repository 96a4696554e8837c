"""Real noise: blank patches of the sky, cut from the frames in which an object was observed.

The background of a frame (the mean of the sky weighted by a Gaussian of width `background_width`) is subtracted.
Sources are detected on a smoothed copy, grown and masked. Pixels without weight, pixels that are not finite, and pixels
further than `clip` from the sky are masked too. The remaining pixels are divided by the standard deviation of their
core (1.48 median absolute deviations).

The rows of a frame are split: patches of the training set and of the held-out set share no pixel, and the gap between
them is wider than the correlation length of drizzled noise. Patches of one set overlap. The number of patches that fit
without overlap measures the information in the set; it is printed, and too few raise an error.

References: Legin et al. (2023), arXiv:2302.03046 (noise learned on blank fields of HST and JWST).
"""

from __future__ import annotations

import numpy as np

from skyscore.io import InputError
from skyscore.sky.frames import read_frame

from .base import Simulator

__all__ = ["Sky", "corners", "disjoint"]

GAP = 4  # rows between the training sky and the held-out sky [pixel]


def split_rows(blank: np.ndarray, split: str, share: float) -> np.ndarray:
    """The sky pixels that belong to a split, "train" or "held_out"."""
    edge = round(len(blank) * (1 - share))
    own = np.zeros_like(blank)
    rows = slice(edge + GAP, None) if split == "held_out" else slice(0, edge)
    own[rows] = blank[rows]
    return own


def corners(where: np.ndarray, side: int) -> np.ndarray:
    """First row and column `(n, 2)` of every square patch of this side that lies completely inside `where`."""
    H, W = where.shape
    if side > min(H, W):
        return np.zeros((0, 2), int)
    total = np.pad(np.cumsum(np.cumsum(where, 0), 1), ((1, 0), (1, 0)))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.argwhere(inside == side**2)


def disjoint(places: np.ndarray, side: int) -> int:
    """Number of these patches that can be taken, in their order, without overlap."""
    if not len(places):
        return 0
    taken, count = np.zeros(places.max(0) + side, dtype=bool), 0
    for i, j in places:
        # two equal squares overlap only if one contains a corner of the other
        if not taken[i :: side - 1, j :: side - 1][:2, :2].any():
            taken[i : i + side, j : j + side] = True
            count += 1
    return count


class Sky(Simulator):
    """The simulator of this module."""

    kind = "sky"

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """Not available: there is nothing to simulate.

        Raises:
            InputError: always.
        """
        raise InputError(
            "sky: images of this kind are cut from files; name their data sets under `data` of the block"
        )

    @staticmethod
    def cut(n: int, pixels: int, settings: dict, files: dict[str, str], split: str, seed: int) -> np.ndarray:
        """n patches of blank sky, float32 of shape `(n, 1, pixels, pixels)`, in units of the core sigma of their frame.

        Arguments:
            files: by `<data set>/<role>`; every data set gives one frame.
            split: "train" or "held_out".

        Raises:
            InputError: for unusable files, or fewer than `fewest` patches without overlap.
        """
        s, patches, worth = Sky.completed(settings), [], 0
        by_name: dict[str, dict[str, str]] = {}
        for key, path in files.items():
            name, role = key.rsplit("/", 1)
            by_name.setdefault(name, {})[role] = path
        for name, own in by_name.items():
            frame = read_frame(own, s["band"], s)
            places = corners(split_rows(frame.blank, split, s["share"]), pixels)
            alone = disjoint(places, pixels)
            about = f"blank {frame.blank.mean():.2f}, sigma {frame.std:.4g}"
            print(f"{name}: {about}, {len(places)} patches, {alone} without overlap")
            patches += [(frame, place) for place in places]
            worth += alone
        if worth < s["fewest"]:
            frames = ", ".join(own[s["band"]] for own in by_name.values())
            raise InputError(
                f"{frames}: the {split} sky has {worth} patches of {pixels} pixels without overlap, but {s['fewest']} "
                "are needed; give more frames or smaller patches"
            )
        g = np.random.default_rng(seed)
        chosen = g.choice(len(patches), n, replace=n > len(patches))
        out = np.empty((n, 1, pixels, pixels), np.float32)
        for row, index in zip(out[:, 0], chosen, strict=True):
            frame, (i, j) = patches[index]
            row[:] = frame.image[i : i + pixels, j : j + pixels] / frame.std
        return out
