"""Comparison of samplers on every problem: error, calibration and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from .style import STYLE, plt
from .validation import FAILED, LIGHT, PASSED

__all__ = ["draw_samplers"]

#        label, number, its error, scale, ticks
ROWS = (
    (
        "Error of the\nposterior mean",
        "error_of_mean",
        "error_of_mean_error",
        "log",
        (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50),
    ),
    ("Mean squared z", "z2", "z2_error", "log", (0.2, 0.5, 1, 2, 5, 10, 30)),
    ("MIRA\n(standard errors)", "mira_z", None, "symlog", (-30, -10, -3, 0, 3, 10, 30)),
    ("Coverage: p", "tarp_p", None, "log", (1, 0.1, 0.01, 1e-3, 1e-4, 1e-5)),
    ("Cost of a sample\n(evaluations)", "ensemble_cost", None, "log", (10, 30, 100, 300, 1000, 3000, 10_000)),
    (
        "Cost of a sample\n(seconds)",
        "ensemble_seconds",
        None,
        "log",
        (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
    ),
)
FEW = 16  # up to this number of samplers on all problems together, each gets a wide column
LEAST = 1e-5  # smaller p-values are drawn here


def draw_samplers(found: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Figure:
    """One column per problem, one row per number, one point per sampler; red if the certificate failed.

    Arguments:
        found: by problem and sampler, the numbers named in ROWS, `certified`, and for some the range that the
            certificate allows, `<number>_allowed`.
    """
    with plt.rc_context(STYLE):
        each = 0.45 if sum(len(samplers) for samplers in found.values()) <= FEW else 0.28
        widths = [0.6 + each * len(samplers) for samplers in found.values()]
        size = (1.2 + sum(widths) * 1.15, 1.25 * len(ROWS) + 0.9)
        figure, grid = plt.subplots(
            len(ROWS),
            len(found),
            figsize=size,
            sharex="col",
            sharey="row",
            squeeze=False,
            width_ratios=widths,
        )
        for column, (problem, samplers) in enumerate(found.items()):
            grid[0, column].set_title(problem)
            for axes, (_, key, error, scale, ticks) in zip(grid[:, column], ROWS, strict=True):
                for x, numbers in enumerate(samplers.values()):
                    if key not in numbers:
                        continue
                    if f"{key}_allowed" in numbers:
                        low, high = numbers[f"{key}_allowed"]
                        axes.fill_between([x - 0.6, x + 0.6], low, high, color=LIGHT, lw=0, zorder=0)
                    passed = bool(numbers["certified"])
                    value = max(numbers[key], LEAST) if key == "tarp_p" else numbers[key]
                    look = {"color": PASSED[0] if passed else FAILED, "mfc": None if passed else "white"}
                    bar = 2 * numbers[error] if error else None
                    axes.errorbar(x, value, bar, fmt="o" if passed else "s", ms=5, capsize=2, **look)
                axes.set_yscale(scale, **({"linthresh": 3} if scale == "symlog" else {}))
                if ticks:
                    axes.yaxis.set_major_locator(FixedLocator(ticks))
                    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
                    axes.yaxis.set_minor_locator(NullLocator())
                axes.set_xlim(-0.6, len(samplers) - 0.4)
                axes.grid(axis="y", color="0.92", lw=0.6)
                axes.set_axisbelow(True)
            grid[-1, column].set_xticks(range(len(samplers)), list(samplers), rotation=45, ha="right")
        for axes, (label, *_) in zip(grid[:, 0], ROWS, strict=True):
            axes.set_ylabel(label, fontsize=8)
        handles = [
            Line2D([], [], color=PASSED[0], marker="o", ls="", label="Certified"),
            Line2D([], [], color=FAILED, marker="s", mfc="white", ls="", label="Not certified"),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure
