"""The table of samplers on the four problems in docs/validation.md, from the record `samplers`: `make docs` writes it.

Problems and samplers are in the order of config/samplers.yaml, with which that record is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

__all__ = ["BEGIN", "END", "table"]

BEGIN, END = "<!-- samplers: made by `make docs` -->", "<!-- end of samplers -->"
HEADS = (
    "problem",
    "sampler",
    "error of the mean",
    "mean squared z",
    "coverage: p",
    "MIRA [s.e.]",
    "evaluations",
    "seconds",
    "certified",
)
LEAST = 1e-3  # a p-value below is said to be


def row(found: Mapping[str, float], problem: str, sampler: str) -> str:
    """One line: the numbers of a sampler on a problem."""

    def of(key: str) -> float:
        return found[f"{problem}/{sampler}/{key}"]

    p = of("tarp_p")
    cells = (
        f"`{problem}`",
        f"`{sampler}`",
        f"{of('error_of_mean'):.3f} +- {of('error_of_mean_error'):.3f}",
        f"{of('z2'):.2f} +- {of('z2_error'):.2f}",
        f"{p:.3f}" if p >= LEAST else f"< {LEAST}",
        f"{of('mira_z'):+.1f}",
        f"{of('ensemble_cost'):,.0f}",
        f"{of('ensemble_seconds'):.2f}",
        "**yes**" if of("certified") else "no",
    )
    return f"| {' | '.join(cells)} |"


def table(root: Path, found: Mapping[str, float]) -> str:
    """The rows of all samplers that config/samplers.yaml names.

    Arguments:
        found: flat numbers, `<problem>/<sampler>/<number>`.

    Raises:
        KeyError: for a sampler that the record does not hold.
    """
    problems = yaml.safe_load((root / "config" / "samplers.yaml").read_text())["problems"]
    pairs = [(problem, sampler) for problem, block in problems.items() for sampler in block["samplers"]]
    rows = [row(found, problem, sampler) for problem, sampler in pairs]
    return "\n".join([f"| {' | '.join(HEADS)} |", "|" + " --- |" * len(HEADS), *rows])
