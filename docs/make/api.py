"""The pages of the Python interface: what each public module exports in its `__all__`, from its docstrings."""

from __future__ import annotations

import inspect
from importlib import import_module

__all__ = ["exported"]


def rst(*lines: str) -> str:
    """A block of reStructuredText, in which docstrings are written."""
    return "\n".join(["```{eval-rst}", *lines, "```"])


def exported(module: str, first: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> str:
    """Classes and functions of `__all__`, with the docstring of the module above them.

    Arguments:
        module: its name below skyscore.
        first: names that a reader looks for, in this order; the others follow in that of `__all__`.
        without: methods that are for the library itself.
    """
    path = f"skyscore.{module}"
    found = import_module(path)
    parts = [rst(f".. automodule:: {path}")]
    for name in [*first, *(name for name in found.__all__ if name not in first)]:
        item = getattr(found, name)
        if inspect.isclass(item):
            leave = [f"   :exclude-members: {', '.join(without)}"] if without else []
            parts.append(rst(f".. autoclass:: {path}.{name}", "   :members:", *leave))
        elif callable(item):
            parts.append(rst(f".. autofunction:: {path}.{name}"))
    return "\n\n".join(parts)
