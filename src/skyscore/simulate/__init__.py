"""Simulators of training sets (the embedded data of the default run), by kind.

Every module of this folder is looked through for subclasses of `Simulator` with a `kind`: adding one is adding a file.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .base import Simulator

__all__ = ["SIMULATORS", "Simulator"]

SIMULATORS: dict[str, type[Simulator]] = {
    item.kind: item
    for module in iter_modules(__path__)
    for item in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(item, type) and issubclass(item, Simulator) and item.kind
}
