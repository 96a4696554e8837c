"""Simulators of training sets (the data of the default run), by kind.

Every module of this folder is searched for subclasses of `Simulator` that set `kind`. To add a kind, add a module and
its settings, `<kind>.yaml`.
"""

from __future__ import annotations

from skyscore.config.registry import discover

from .base import Simulator

__all__ = ["SIMULATORS", "Simulator"]

SIMULATORS: dict[str, type[Simulator]] = discover(__name__, __path__[0], Simulator, "kind")
