"""Comparison of samplers as a table: in the report, and in the documentation, where `make docs` writes it from the
record `samplers`.

In the documentation, problems and samplers have the order of config/samplers.yaml, which is used to make that record.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

__all__ = ["COLUMNS", "HEADS", "cells", "table"]

COLUMNS = {  # heading: format of the numbers of a sampler
    "error of the mean": "{error_of_mean:.3f} +- {error_of_mean_error:.3f}",
    "mean squared z": "{z2:.2f} +- {z2_error:.2f}",
    "coverage: p": "{coverage}",
    "MIRA [s.e.]": "{mira_z:+.1f}",
    "PQMass of pooled samples: p": "{pqmass_pooled_p:.2f}",
    "chi2 of samples": "{chi2_mean:.3f}",
    "evaluations": "{ensemble_cost:,.0f}",
    "seconds": "{ensemble_seconds:.2f}",
}
HEADS = ("problem", "sampler", *COLUMNS, "certified")
LEAST = 1e-3  # smaller p-values are written as "< 0.001"


def cells(problem: str, sampler: str, numbers: Mapping[str, float]) -> tuple[str, ...]:
    """One row with the columns HEADS; a cell is empty if its number does not exist for this problem."""
    written: dict[str, Any] = dict(numbers)
    if "tarp_p" in numbers:
        p = numbers["tarp_p"]
        written["coverage"] = f"{p:.3f}" if p >= LEAST else f"< {LEAST}"
    row = []
    for text in COLUMNS.values():
        try:
            row.append(text.format_map(written))
        except KeyError:
            row.append("")
    return problem, sampler, *row, "yes" if numbers["certified"] else "no"


def table(root: Path, found: Mapping[str, float]) -> str:
    """The rows of all samplers named in config/samplers.yaml, without empty columns.

    Arguments:
        root: root of the repository.
        found: flat numbers, `<problem>/<sampler>/<number>`.

    Raises:
        KeyError: for a sampler that the record does not hold.
    """
    problems = yaml.safe_load((root / "config" / "samplers.yaml").read_text())["problems"]
    rows = [HEADS, ("---",) * len(HEADS)]
    for problem, block in problems.items():
        for sampler in block["samplers"]:
            start = f"{problem}/{sampler}/"
            numbers = {key.removeprefix(start): v for key, v in found.items() if key.startswith(start)}
            if not numbers:
                raise KeyError(
                    f"docs/results/samplers.json does not hold {problem}/{sampler}; make it with "
                    "`snakemake --cores all --configfile config/samplers.yaml -- samplers`"
                )
            rows.append(cells(f"`{problem}`", f"`{sampler}`", numbers))
    kept = [column for column in zip(*rows, strict=True) if any(column[2:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*kept, strict=True))
