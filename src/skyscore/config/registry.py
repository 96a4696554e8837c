"""What a package implements, found by importing every module below it: samplers, problems and simulators.

:mod:`skyscore.config.catalogue` reads the same names without torch. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TypeVar

__all__ = ["discover", "modules"]

T = TypeVar("T")


def modules(folder: str | Path, loose: bool = True) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Names and file of each module below a folder, in alphabetical order; private modules are left out.

    Arguments:
        loose: whether modules that lie in the folder itself count, or only those of its folders.
    """
    for path in sorted(Path(folder).rglob("[!_]*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if all(part.isidentifier() for part in parts) and (loose or len(parts) > 1):
            yield parts, path


def discover(
    package: str, folder: str | Path, base: type[T], attribute: str, loose: bool = True
) -> dict[str, type[T]]:
    """Subclasses of `base` in the modules of a folder, by the value of an attribute that they set themselves.

    Arguments:
        package: dotted name of the folder.
        loose: as for :func:`modules`.

    Raises:
        ImportError: two classes with the same value.
    """
    found: dict[str, type[T]] = {}
    for parts, _ in modules(folder, loose):
        module = import_module(".".join([package, *parts]))
        for item in vars(module).values():
            if not (isinstance(item, type) and issubclass(item, base) and vars(item).get(attribute)):
                continue
            name = vars(item)[attribute]
            other = found.setdefault(name, item)
            if other is not item:
                classes = " and ".join(f"{c.__module__}.{c.__qualname__}" for c in (other, item))
                raise ImportError(f"{classes} have the same {attribute} {name!r}; rename one of them")
    return found
