"""Inverse problems by kind. Each defines its data, forward model, noise and figure panels.

Every module of this folder is searched for subclasses of `Problem` that set `kind`. To add a problem, add a folder.
"""

from __future__ import annotations

from skyscore.config.registry import discover
from skyscore.observation import Observation, Panel

from .base import Problem

__all__ = ["PROBLEMS", "Observation", "Panel", "Problem", "load_problem"]

PROBLEMS: dict[str, type[Problem]] = discover(__name__, __path__[0], Problem, "kind")


def load_problem(observation: Observation, device: str = "cpu") -> Problem:
    """Rebuilds the problem of an observation.

    Raises:
        ValueError: for a kind that no module defines.
    """
    if observation.problem not in PROBLEMS:
        raise ValueError(
            f"unknown kind of problem {observation.problem!r}; known kinds: {', '.join(sorted(PROBLEMS))}"
        )
    return PROBLEMS[observation.problem](observation, device)
