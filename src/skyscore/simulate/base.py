"""What a kind of training set is: a simulator of images, with its settings.

A new kind is one module in this folder with one subclass of :class:`Simulator`, and one block in the configuration.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from skyscore.io import InputError

__all__ = ["Simulator"]


class Simulator:
    """Images of one kind.

    Attributes:
        kind: name of the kind, and of the block of a data set that holds its settings.
        SETTINGS: JSON schema of the settings, a literal: it is read without importing the module.
    """

    kind: ClassVar[str] = ""
    SETTINGS: ClassVar[dict[str, Any]] = {}

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """n images, float32 of shape (n, 1, pixels, pixels), in prior units (of order one)."""
        raise NotImplementedError("a simulator defines simulate(n, pixels, settings, seed)")

    @staticmethod
    def cut(n: int, pixels: int, settings: dict, files: dict[str, str], split: str, seed: int) -> np.ndarray:
        """n images as of `simulate`, cut from files by `<data set>/<role>`; no pixel is in both splits.

        Raises:
            InputError: for kinds that are simulated only.
        """
        raise InputError(
            "images of this kind are simulated, not cut from files; take `data` out of the block"
        )

    @classmethod
    def completed(cls, settings: dict | None) -> dict:
        """The settings with the defaults of the schema filled in.

        Raises:
            ValueError: for a setting that does not exist.
        """
        defaults = {key: node["default"] for key, node in cls.SETTINGS["properties"].items()}
        if unknown := set(settings or {}) - set(defaults):
            raise ValueError(f"{cls.kind}: unknown settings {sorted(unknown)}; known: {sorted(defaults)}")
        return {**defaults, **(settings or {})}

    @staticmethod
    def covariance(pixels: int, settings: dict) -> np.ndarray | None:
        """Covariance (pixels, pixels) of two pixels at lags 0, 1, ... in rows and columns, where a theory gives it."""
        return None
