"""Inverse problems: what each one is (data, operator, noise, panels of its figure), by kind.

Every module of this folder is looked through for subclasses of `Problem` with a `kind`: adding one is adding a file.
"""

from __future__ import annotations

from skyscore.config.registry import discover
from skyscore.observation import Observation, Panel

from .base import Problem

__all__ = ["PROBLEMS", "Observation", "Panel", "Problem", "load_problem"]

PROBLEMS: dict[str, type[Problem]] = discover(__name__, __path__, Problem, "kind")


def load_problem(observation: Observation, device: str = "cpu") -> Problem:
    """The problem of an observation.

    Raises:
        ValueError: for a kind that no module defines.
    """
    if observation.problem not in PROBLEMS:
        raise ValueError(f"no kind of problem {observation.problem!r}; known: {', '.join(sorted(PROBLEMS))}")
    return PROBLEMS[observation.problem](observation, device)
