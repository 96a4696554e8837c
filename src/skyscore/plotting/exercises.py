"""The figure of an exercise: one row of images per case, draws of the prior, and the position of each posterior."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import COLOURS, MARKERS, STYLE, colour_bar, limits, plt, show

__all__ = ["draw_exercise"]

#: numbers in the two lower panels, and their names in the legends
STANDS = {
    "distance_to_prior": "Distance to the prior",
    "distance_to_truth": "Distance to the truth",
    "sd_over_prior": "Standard deviation / that of the prior",
}
CHECKS = {
    "error_over_sd": "Error of the mean / standard deviation",
    "chi2_dof": "chi2 per datum of the samples",
}


def draw_exercise(
    panels: Sequence[Any],
    cases: Mapping[str, str],
    numbers: Mapping[str, Mapping[str, float]],
    title: str = "",
) -> Figure:
    """Images and numbers of all cases.

    Arguments:
        panels: with the attributes of `skyscore.observation.Panel`, equally many for each case, then draws of the
            prior.
        cases: label of each case, by its key in `numbers`.
        numbers: of each case, see :func:`skyscore.validation.exercises.position`.
    """
    columns = sum(panel.group == "data" for panel in panels)
    columns = (len(panels) + 1) // (columns + 1)
    rows = [panels[k * columns : (k + 1) * columns] for k in range(len(cases))]
    draws = panels[len(cases) * columns :]
    unknown = [p for p in panels if p.group == "unknown"]
    norms = {
        "unknown": limits(unknown[0].kind, [p.image for p in unknown if p.title == "Truth"]),
        "spread": limits("spread", [p.image for p in panels if p.group == "spread"]),
    }
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(1.45 * columns + 0.9, 1.62 * (len(rows) + 1) + 2.9))
        upper, lower = figure.subfigures(2, 1, height_ratios=[1.62 * (len(rows) + 1), 2.7])  # type: ignore[misc]
        grid = upper.subplots(len(rows) + 1, columns, squeeze=False)
        for line, row, label in zip(grid, rows, cases.values(), strict=False):
            for axes, panel in zip(line, row, strict=True):
                own = limits(panel.kind, [panel.image]) if panel.group == "data" else norms[panel.group]
                shown = show(axes, panel, own)
                axes.set_title(panel.title if line is grid[0] or row is rows[0] else "", fontsize=8)
                if row is rows[0] and panel.group == "spread":
                    spread = shown
                elif row is rows[0] and panel.title == "Truth":
                    truth = shown
            line[0].set_ylabel(label.replace(", ", "\n"), fontsize=8)
        for axes in grid[-1]:
            axes.set_axis_off()
        for axes, panel in zip(grid[-1][1:], draws, strict=False):
            axes.set_axis_on()
            show(axes, panel, norms["unknown"])
            axes.set_title("Draws of the prior" if panel is draws[0] else "", fontsize=8)
        colour_bar(
            upper, truth, grid[:, -1], f"Images [{unknown[0].unit}]", fraction=0.4, pad=0.05, aspect=40
        )
        colour_bar(
            upper, spread, grid[:, -1], f"Standard deviation [{unknown[0].unit}]", fraction=0.4, aspect=40
        )
        left, right = lower.subplots(1, 2)
        draw_numbers(left, cases, numbers, STANDS)
        left.set_ylim(-0.05, max(left.get_ylim()[1], 1.1))
        draw_numbers(right, cases, numbers, CHECKS)
        right.axhline(1, color="0.4", lw=0.8, zorder=0)
        right.set_ylim(0, 1.1 * max(right.get_ylim()[1], 1.2))
        if title:
            figure.suptitle(title)
    return figure


def draw_numbers(
    axes: plt.Axes,
    cases: Mapping[str, str],
    numbers: Mapping[str, Mapping[str, float]],
    names: Mapping[str, str],
) -> None:
    """Some numbers of all cases as points, one line per number."""
    x = np.arange(len(cases))
    for index, (key, name) in enumerate(names.items()):
        look: dict[str, Any] = {"color": COLOURS[index], "marker": MARKERS[index]}
        axes.plot(x, [numbers[case][key] for case in cases], ls="--", lw=1, ms=5, label=name, **look)
    axes.set_xticks(x, [label.replace(", ", "\n") for label in cases.values()])
    axes.set_xlim(-0.4, len(cases) - 0.6)
    axes.legend(fontsize=7, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names))
