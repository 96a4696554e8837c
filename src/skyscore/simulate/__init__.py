"""Simulators of training sets (the embedded data of the default run), by kind.

Every module of this folder is looked through for subclasses of `Simulator` with a `kind`: adding one is adding a file.
"""

from __future__ import annotations

from skyscore.config.registry import discover

from .base import Simulator

__all__ = ["SIMULATORS", "Simulator"]

SIMULATORS: dict[str, type[Simulator]] = discover(__name__, __path__, Simulator, "kind")
