"""Inverse problems: what each one is (data, operator, noise, panels of its figure), by kind.

Every module of this folder is looked through for subclasses of `Problem` with a `kind`: adding one is adding a file.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from .base import Observation, Panel, Problem

__all__ = ["PROBLEMS", "Observation", "Panel", "Problem", "load_problem"]

PROBLEMS: dict[str, type[Problem]] = {
    item.kind: item
    for module in iter_modules(__path__)
    for item in vars(import_module(f"{__name__}.{module.name}")).values()
    if isinstance(item, type) and issubclass(item, Problem) and item.kind
}


def load_problem(observation: Observation, device: str = "cpu") -> Problem:
    """The problem of an observation.

    Raises:
        ValueError: for a kind that no module defines.
    """
    if observation.problem not in PROBLEMS:
        raise ValueError(f"no kind of problem {observation.problem!r}; known: {', '.join(sorted(PROBLEMS))}")
    return PROBLEMS[observation.problem](observation, device)
