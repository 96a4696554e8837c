"""The figure of all reconstructions of one observation: images in one colour scale, power spectra, correlation with
truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from .style import COLOURS, MARKERS, STYLE, colour_bar, limits, plt, show

__all__ = ["draw_comparison"]


def draw_comparison(
    panels: Sequence[Any],
    curves: Mapping[str, Mapping[str, Sequence[float]]],
    numbers: Mapping[str, tuple[float, float]],
    title: str = "",
    columns: int = 5,
) -> Figure:
    """Images, and below them their spectra.

    Arguments:
        panels: with the attributes of `skyscore.observation.Panel`; the colour scale of a group is set by its first
            panel (the truth; the leading sampler's standard deviation), so that a noisy reconstruction does not set it.
        curves: by name: `k`, `power`, and if there is a truth `correlation`; for samples also `low` and `high`.
        numbers: RMSE and Pearson's r against the truth, by title of a panel.
    """
    groups: dict[str, list[Any]] = {}
    for panel in panels:
        groups.setdefault(panel.group, []).append(panel)
    norms = {name: limits(group[0].kind, [group[0].image]) for name, group in groups.items()}
    correlated = any("correlation" in curve for curve in curves.values())
    rows = math.ceil(len(panels) / columns)
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(2.2 * columns, 2.25 * rows + 3.2))
        upper, lower = figure.subfigures(2, 1, height_ratios=[2.25 * rows, 3.0])  # type: ignore[misc]
        grid = upper.subplots(rows, columns, squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            shown = show(axes, panel, norms[panel.group])
            if panel.title in numbers:
                rmse, r = numbers[panel.title]
                axes.set_title(f"{panel.title}\nRMSE {rmse:.3g}, r {r:.3f}", fontsize=8)
            else:
                axes.set_title(panel.title, fontsize=8)
            beyond = np.nanmax(panel.image) > 1.2 * shown.norm.vmax
            extend = {"extend": "max" if beyond else "neither", "extendfrac": 0.04}
            colour_bar(upper, shown, axes, panel.unit, fraction=0.046, pad=0.02, **extend)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        pair = lower.subplots(1, 1 + correlated, squeeze=False)[0]
        draw_power(pair[0], curves, panels[-1])
        if correlated:
            draw_correlation(pair[1], curves, panels[-1])
        handles, labels = pair[0].get_legend_handles_labels()
        lower.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=7, frameon=False)
        if title:
            figure.suptitle(title)
    return figure


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Style of each curve: a thick black line for the truth, a colour and a marker for each reconstruction."""
    found: dict[str, dict[str, Any]] = {}
    others = [name for name in names if name != "Truth" and not name.endswith(": samples")]
    for index, name in enumerate(others):
        style = ("-", "--", ":")[index // (len(COLOURS) - 1) % 3]
        colour, marker = COLOURS[index % (len(COLOURS) - 1)], MARKERS[index % len(MARKERS)]
        found[name] = {"color": colour, "marker": marker, "ls": style, "ms": 3.5, "lw": 1.2, "label": name}
    return {"Truth": {"color": "black", "lw": 2.2, "label": "Truth", "zorder": 1}, **found}


def draw_power(axes: plt.Axes, curves: Mapping[str, Any], panel: Any) -> None:
    """Power spectra; a band in the colour of the mean shows the middle two thirds of the samples."""
    for name, look in looks(list(curves)).items():
        if name in curves:
            axes.plot(curves[name]["k"], curves[name]["power"], **look)
        band = curves.get(f"{name.removesuffix(': mean')}: samples") if name.endswith(": mean") else None
        if band:
            label = f"{name.removesuffix(': mean')}: samples, 16 to 84 %"
            axes.fill_between(
                band["k"], band["low"], band["high"], color=look["color"], alpha=0.2, lw=0, label=label
            )
    frequency_axis(axes, panel.scale_unit)
    axes.set_yscale("log")
    lead = np.asarray((curves.get("Truth") or next(iter(curves.values())))["power"], dtype=float)
    axes.set_ylim(0.1 * lead[lead > 0].min(), 5 * lead.max())
    axes.set_ylabel(f"Power [({panel.unit})$^2$ {panel.scale_unit}$^2$]")


def draw_correlation(axes: plt.Axes, curves: Mapping[str, Any], panel: Any) -> None:
    """Correlation with the truth against spatial frequency."""
    for name, look in looks(list(curves)).items():
        if name != "Truth" and "correlation" in curves.get(name, {}):
            axes.plot(curves[name]["k"], curves[name]["correlation"], **look)
    axes.axhline(1, color="0.4", lw=0.8, zorder=0)
    axes.axhline(0, color="0.4", lw=0.8, zorder=0)
    frequency_axis(axes, panel.scale_unit)
    axes.set_ylim(-0.3, 1.05)
    axes.set_ylabel("Correlation with the truth")


def frequency_axis(axes: plt.Axes, unit: str) -> None:
    """A logarithmic axis of spatial frequency with a few plain numbers."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_xlabel(f"Spatial frequency [cycles / {unit}]")
