r"""Noise as it is: blank patches of the sky, cut from the frames in which an object was observed.

A frame is cleared of its background (the mean of the sky within `reach`, weighted by a Gaussian), and its sources are
found on a smoothed copy, grown and left out; so is every pixel without weight, not finite, or further than `clip`
from the sky. What is left is divided by the standard deviation of its core (1.48 median absolute deviations).

The rows of a frame are split: patches of the training set and of the held-out set share no pixel, and a gap wider than
the correlation of drizzled noise lies between them. Patches of one set overlap; the number of patches that fit without
overlap is what the set is worth, it is printed, and too few are refused.

References: Legin et al. (2023), arXiv:2302.03046 (noise learned on blank fields of HST and JWST).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from skyscore.io import InputError
from skyscore.sky.frames import read_frame

from .base import Simulator

__all__ = ["SETTINGS", "Sky", "corners", "disjoint"]

# fmt: off
SETTINGS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "band": {"type": "string", "default": "f160w",
            "description": "Role of the frames in config/datasets.tsv; <band>_weight, if any, is 0 at bad pixels."},
        "reach": {"type": "number", "exclusiveMinimum": 0, "default": 16.0, "unit": "pixel",
            "description": "Gaussian sigma over which the background is the mean of the sky."},
        "detect": {"type": "number", "exclusiveMinimum": 0, "default": 3.0, "unit": "sigma",
            "description": "Sources exceed this on a copy smoothed by 1.5 pixels."},
        "grow": {"type": "integer", "minimum": 1, "default": 3, "unit": "pixel",
            "description": "By how much they are grown."},
        "clip": {"type": "number", "exclusiveMinimum": 0, "default": 6.0, "unit": "core sigma",
            "description": "Single pixels beyond this are left out."},
        "share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "default": 0.34,
            "description": "Share of the rows of each frame, its last ones, that is held out."},
        "fewest": {"type": "integer", "minimum": 1, "default": 8, "unit": "patch",
            "description": "Patches without overlap that each set must have."},
    },
}
# fmt: on
GAP = 4  # rows between training and held-out sky [pixel]


def split_rows(blank: np.ndarray, split: str, share: float) -> np.ndarray:
    """The sky pixels that belong to a split, "train" or "held_out"."""
    edge = round(len(blank) * (1 - share))
    own = np.zeros_like(blank)
    rows = slice(edge + GAP, None) if split == "held_out" else slice(0, edge)
    own[rows] = blank[rows]
    return own


def corners(where: np.ndarray, side: int) -> np.ndarray:
    """First row and column `(n, 2)` of every square patch of this side that lies in `where` altogether."""
    H, W = where.shape
    if side > min(H, W):
        return np.zeros((0, 2), int)
    total = np.pad(np.cumsum(np.cumsum(where, 0), 1), ((1, 0), (1, 0)))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    return np.argwhere(inside == side**2)


def disjoint(places: np.ndarray, side: int) -> int:
    """How many of these patches can be taken, in their order, without overlap."""
    if not len(places):
        return 0
    taken, count = np.zeros(places.max(0) + side, dtype=bool), 0
    for i, j in places:
        if not taken[i :: side - 1, j :: side - 1][
            :2, :2
        ].any():  # two equal squares overlap where a corner does
            taken[i : i + side, j : j + side] = True
            count += 1
    return count


class Sky(Simulator):
    """See the module."""

    kind = "sky"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """There is nothing to simulate.

        Raises:
            InputError: always.
        """
        raise InputError(
            "sky: images of this kind are cut from files; name their data sets under `data` of the block"
        )

    @staticmethod
    def cut(n: int, pixels: int, settings: dict, files: dict[str, str], split: str, seed: int) -> np.ndarray:
        """n patches of blank sky, float32 of shape `(n, 1, pixels, pixels)`, in units of their frame's core sigma.

        Arguments:
            files: by `<data set>/<role>`; every data set gives one frame.
            split: "train" or "held_out".

        Raises:
            InputError: for files that cannot be used, or fewer than `fewest` patches without overlap.
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
            print(f"{name}: {about}, {len(places)} patches, {alone} of them disjoint")
            patches += [(frame, place) for place in places]
            worth += alone
        if worth < s["fewest"]:
            frames = ", ".join(own[s["band"]] for own in by_name.values())
            raise InputError(
                f"{frames}: {worth} disjoint patches of {pixels} pixels in the {split} sky, {s['fewest']} are wanted; "
                "give more frames or smaller patches"
            )
        g = np.random.default_rng(seed)
        chosen = g.choice(len(patches), n, replace=n > len(patches))
        out = np.empty((n, 1, pixels, pixels), np.float32)
        for row, index in zip(out[:, 0], chosen, strict=True):
            frame, (i, j) = patches[index]
            row[:] = frame.image[i : i + pixels, j : j + pixels] / frame.std
        return out
