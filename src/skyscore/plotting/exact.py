"""The figure of the exact benchmark."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .style import COLOURS, MARKERS, STYLE, plt

__all__ = ["draw_exact"]


def draw_exact(numbers: Mapping[str, float]) -> Figure:
    """Distance to the exact posterior over its floor, for each sampler and task, with two standard errors.

    Arguments:
        numbers: flat, with keys exact/<sampler>/<task>/ratio and .../ratio_error.
    """
    ratios = {tuple(key.split("/")[1:3]): value for key, value in numbers.items() if key.endswith("/ratio")}
    samplers, tasks = list(dict.fromkeys(s for s, _ in ratios)), list(dict.fromkeys(t for _, t in ratios))
    width = 0.8 / max(len(samplers), 1)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(max(7.0, 1.3 * len(tasks)), 3.6))
        for index, sampler in enumerate(samplers):
            x = np.arange(len(tasks)) + (index - 0.5 * (len(samplers) - 1)) * width
            y = np.array([ratios.get((sampler, task), np.nan) for task in tasks])
            error = np.array([numbers.get(f"exact/{sampler}/{task}/ratio_error", 0.0) for task in tasks])
            look = {"color": COLOURS[index % len(COLOURS)], "fmt": MARKERS[index % len(MARKERS)]}
            axes.errorbar(x, y, 2 * error, ms=4, capsize=2, label=sampler, **look)
        axes.axhline(1, color="0.4", lw=0.8, zorder=0)
        axes.set_yscale("log")
        axes.set_xticks(np.arange(len(tasks)), [task.replace("_", "\n") for task in tasks])
        axes.set_ylabel("distance to the exact posterior / floor")
        columns = min(len(samplers), 7)  # what the width of the figure holds
        axes.legend(ncols=columns, fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return figure
