"""The base class of training sets: a simulator of images, with its settings.

To add a kind, write one module in this folder with one subclass of :class:`Simulator` and `<kind>.yaml` with its
settings. Then add one block to the configuration.
"""

from __future__ import annotations

import copy
from typing import ClassVar

import numpy as np

from skyscore.config.kinds import dataset_kinds
from skyscore.io import InputError

__all__ = ["Simulator"]


class Simulator:
    """Images of one kind.

    Attributes:
        kind: name of the kind, of its `<kind>.yaml`, and of the block of a data set that holds its settings.
    """

    kind: ClassVar[str] = ""

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """n images, float32 of shape (n, 1, pixels, pixels), in prior units (of order one).

        Raises:
            NotImplementedError: if the kind defines none.
        """
        raise NotImplementedError("a simulator must define simulate(n, pixels, settings, seed)")

    @staticmethod
    def cut(n: int, pixels: int, settings: dict, files: dict[str, str], split: str, seed: int) -> np.ndarray:
        """n images as from `simulate`, cut from files given by `<data set>/<role>`; no pixel is in both splits.

        Raises:
            InputError: for kinds that can only be simulated.
        """
        raise InputError(
            "images of this kind are simulated, not cut from files; remove `data` from the block of the data set"
        )

    @classmethod
    def completed(cls, settings: dict | None) -> dict:
        """The settings with the defaults of the schema filled in.

        Raises:
            ValueError: for an unknown setting.
        """
        properties = dataset_kinds()[cls.kind]["properties"]
        defaults = {key: copy.deepcopy(node["default"]) for key, node in properties.items()}
        if unknown := set(settings or {}) - set(defaults):
            raise ValueError(
                f"{cls.kind}: unknown settings {sorted(unknown)}; known settings: {sorted(defaults)}"
            )
        return {**defaults, **(settings or {})}

    @staticmethod
    def covariance(pixels: int, settings: dict) -> np.ndarray | None:
        """Covariance (pixels, pixels) of two pixels at lags 0, 1, ... in rows and columns, if a theory gives it, else
        None.
        """
        return None
