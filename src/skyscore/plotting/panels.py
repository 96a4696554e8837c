"""The figure of one posterior: panels with images or points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from .style import COLOURS, STYLE, colour_bar, limits, plt, show

__all__ = ["draw_panels"]


def draw_panels(panels: Sequence[Any], title: str = "", columns: int = 4) -> Figure:
    """One panel per image with its scale bar and colour bar; panels of one group share their colour scale.

    Arguments:
        panels: with the attributes of `skyscore.observation.Panel`: image (H, W), title, scale, unit, ...
    """
    norms = {
        panel.group: limits(panel.kind, [p.image for p in panels if p.group == panel.group])
        for panel in panels
        if panel.kind != "points"
    }
    rows = math.ceil(len(panels) / columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.35 * rows + 0.3), squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            if panel.kind == "points":
                scatter(axes, panel)
                continue
            shown = show(axes, panel, norms[panel.group])
            colour_bar(figure, shown, axes, panel.unit, fraction=0.046, pad=0.02)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        if title:
            figure.suptitle(title)
    return figure


def scatter(axes: plt.Axes, panel: Any) -> None:
    """Points (2, N) on axes of equal scale, such as the coverage of a Fourier plane."""
    x, y = panel.image
    axes.plot(x, y, ".", ms=1.0, mew=0, color=COLOURS[0], rasterized=True)
    axes.set_aspect("equal", adjustable="box")
    axes.set_title(panel.title)
    axes.set_xlabel(panel.unit, fontsize=7)
    axes.tick_params(labelsize=6)
