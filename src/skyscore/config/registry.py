"""What a package implements, found by importing every module below it: samplers, problems and simulators.

:mod:`skyscore.config.catalogue` reads the same names from the text of the modules, for processes without torch. A test
holds the two to each other.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages
from typing import TypeVar

__all__ = ["discover"]

T = TypeVar("T")


def discover(package: str, path: list[str], base: type[T], attribute: str) -> dict[str, type[T]]:
    """Subclasses of `base` in a package and its folders, by the value of their attribute; without one, left out."""
    modules = [import_module(found.name) for found in walk_packages(path, f"{package}.")]
    return {
        getattr(item, attribute): item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, base) and getattr(item, attribute)
    }
