"""The figure of the exact benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from .style import COLOURS, MARKERS, STYLE, plt

__all__ = ["draw_exact"]

NEAR, FAR = 1.25, 30.0  # largest ratio printed in bold; ratio at which the colour saturates


def draw_exact(numbers: Mapping[str, float]) -> Figure:
    """Distance to the exact posterior over the Monte-Carlo floor, for each sampler and task.

    Few samplers are drawn as points with two standard errors, more samplers than there are colours as a table.

    Arguments:
        numbers: flat, with keys exact/<sampler>/<task>/ratio and .../ratio_error.
    """
    ratios = {tuple(key.split("/")[1:3]): value for key, value in numbers.items() if key.endswith("/ratio")}
    samplers, tasks = list(dict.fromkeys(s for s, _ in ratios)), list(dict.fromkeys(t for _, t in ratios))
    y = np.array([[ratios.get((sampler, task), np.nan) for task in tasks] for sampler in samplers])
    names = [[f"exact/{sampler}/{task}/ratio_error" for task in tasks] for sampler in samplers]
    error = np.array([[numbers.get(name, 0.0) for name in row] for row in names])
    labels = [task.replace("_", "\n") for task in tasks]
    with plt.rc_context(STYLE):
        if len(samplers) > len(COLOURS):
            return cells(samplers, labels, y)
        return points(samplers, labels, y, error)


def points(samplers: list[str], tasks: list[str], y: np.ndarray, error: np.ndarray) -> Figure:
    """One point per sampler and task, with error bars of two standard errors."""
    width = 0.8 / max(len(samplers), 1)
    figure, axes = plt.subplots(figsize=(max(7.0, 1.3 * len(tasks)), 3.6))
    for index, sampler in enumerate(samplers):
        x = np.arange(len(tasks)) + (index - 0.5 * (len(samplers) - 1)) * width
        look: dict[str, Any] = {"color": COLOURS[index], "fmt": MARKERS[index % len(MARKERS)]}
        axes.errorbar(x, y[index], 2 * error[index], ms=4, capsize=2, label=sampler, **look)
    axes.axhline(1, color="0.4", lw=0.8, zorder=0)
    axes.set_yscale("log")
    axes.set_xticks(np.arange(len(tasks)), tasks)
    axes.set_ylabel("Distance to the exact posterior / floor")
    axes.legend(ncols=len(samplers), fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
    return figure


def cells(samplers: list[str], tasks: list[str], y: np.ndarray) -> Figure:
    """A table of ratios; those at most a quarter above the floor are bold."""
    figure, axes = plt.subplots(figsize=(1.5 + 0.8 * len(tasks), 0.8 + 0.26 * len(samplers)))
    image = axes.imshow(y, norm=LogNorm(1, FAR), cmap="Blues", aspect="auto")
    for (row, column), value in np.ndenumerate(y):
        if np.isfinite(value):
            text = f"{value:.2f}" if value < 10 else f"{value:.0f}" if value < 1000 else f"{value:.0e}"
            weight = "bold" if value <= NEAR else "normal"
            colour = "white" if value > 8 else "black"
            axes.text(column, row, text, ha="center", va="center", fontsize=7, color=colour, weight=weight)
    axes.set_xticks(np.arange(len(tasks)), tasks)
    axes.set_yticks(np.arange(len(samplers)), samplers)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, extend="max", pad=0.02, ticks=[1, 3, 10, FAR], format="%g")
    bar.minorticks_off()
    bar.set_label("Distance to the exact posterior / floor")
    return figure
