"""Tables of recorded numbers that are too wide to be written by hand: one row for each object or sampler.

A cell is text with `[[record:key:format]]` for each number (:func:`docs.make.numbers.marks`); `{row}` in it stands for
the name of the row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from skyscore.report import tables

from .numbers import marks, records

__all__ = ["exact_benchmark", "exact_benchmark_short", "hst_check", "samplers_compared", "table"]

ROOT = Path(__file__).resolve().parents[2]


def table(rows: Mapping[str, str] | Iterable[str], first: str, columns: Mapping[str, str]) -> str:
    """A Markdown table; its numbers are still to be filled in.

    Arguments:
        rows: names of the rows, or each name with the text of its first cell.
        first: heading of the first column.
        columns: heading and cell of each further column.
    """
    labels = rows if isinstance(rows, Mapping) else {row: f"`{row}`" for row in rows}
    lines = [(first, *columns), ("---",) * (len(columns) + 1)]
    lines += [(label, *(cell.format(row=row) for cell in columns.values())) for row, label in labels.items()]
    return marks("\n".join(f"| {' | '.join(line)} |" for line in lines))


# ---------------------------------------------------------------------------- explanation/hst.md

HST_OBJECTS = (
    "cosj100018clumps",
    "cosj100018clumps125",
    "cosj100028disk",
    "cosj100028disk125",
    "cosj100028disk606",
    "cosj100018ring",
    "cosj100024ring",
)


def correlation(key: str) -> str:
    return f"[[real:{{row}}/{key}:.3f]] +- [[real:{{row}}/{key}_error:.3f]]"


def hst_check() -> str:
    """Agreement with the NIRCam image of classical methods and of posterior means, object by object."""
    methods = {
        "drizzled": "drizzled",
        "Richardson-Lucy": "richardson-lucy",
        "Wiener": "wiener",
    }
    columns = {heading: correlation(f"baselines/{method}/correlation") for heading, method in methods.items()}
    columns |= {f"`{name}`": correlation(f"{name}/sharp_correlation") for name in ("slic", "mmps", "cla")}
    columns |= {
        "colour": "[[real:{row}/slic/sharp_colour:.2f]]",
        "chi2": "[[real:{row}/slic/chi2_dof:.2f]]",
        "chi2 of blank sky": "[[real:{row}/sky_chi2:.2f]] +- [[real:{row}/sky_chi2_std:.2f]]",
    }
    return table(HST_OBJECTS, "object", columns)


# ---------------------------------------------------------------------------- explanation/samplers-compared.md

EXACT_TASKS = {
    "blur": "blur",
    "Fourier": "fourier",
    "coarse": "coarse",
    "inpainting": "inpainting",
    "faint": "faint",
    "Fourier, modes": "fourier_multimodal",
    "coarse, modes": "coarse_multimodal",
}
EXACT_SAMPLERS = {
    "cla": "`cla`",
    "dps": "`dps`, published step",
    "pigdm": "`pigdm`",
    "mmps": "`mmps`",
    "pnpdm": "`pnpdm`",
    "tds": "`tds`",
    "tds6": "`tds`, six particles per sample",
}


def exact_benchmark(
    samplers: Mapping[str, str] = EXACT_SAMPLERS, tasks: Mapping[str, str] = EXACT_TASKS
) -> str:
    """Distance of samplers to exact posteriors, task by task, and their cost."""
    columns = {heading: f"[[exact:exact/{{row}}/{task}/ratio:.1f]]" for heading, task in tasks.items()}
    columns |= {
        "evaluations": "[[exact:exact/{row}/blur/nfe:.0f]]",
        "vjp": "[[exact:exact/{row}/blur/nvjp:.0f]]",
    }
    made = table(samplers, "sampler", columns)
    return re.sub(r"(exact/tds\w*/\w+/ratio:)\.1f", r"\1.2f", made)  # near 1, where the second digit counts


def exact_benchmark_short() -> str:
    """Five of the samplers on four of the tasks, for the README."""
    short = {name: EXACT_SAMPLERS[name] for name in ("cla", "dps", "mmps", "pnpdm", "tds")}
    few = {heading: EXACT_TASKS[heading] for heading in ("blur", "Fourier", "faint", "coarse, modes")}
    return exact_benchmark(short, few)


def samplers_compared() -> str:
    """Every sampler of config/samplers.yaml on every problem: errors, calibration, cost, certificate."""
    return tables.table(ROOT, records(ROOT)["samplers"])
