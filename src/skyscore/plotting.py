"""Figures, drawn from small stored summaries: no sampling, no forward model, no file access.

One look for all: perceptually uniform colour maps, north up (row 0 at the bottom), a scale bar instead of ticks, the
unit on every colour bar.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import matplotlib.patheffects

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure

__all__ = ["draw_exact", "draw_panels", "draw_prior"]

STYLE = {"font.size": 9, "axes.titlesize": 9, "figure.constrained_layout.use": True, "pdf.fonttype": 42}
MAPS = {"image": "inferno", "spread": "viridis", "signed": "RdBu_r"}
# Okabe & Ito's palette, told apart by all; markers say the same in black and white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
BARS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)  # lengths of a scale bar [arcsec]


def limits(kind: str, images: Sequence[np.ndarray]) -> Normalize:
    """One colour scale for panels that are to be compared."""
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    if not values.size:
        return Normalize(0, 1)
    if kind == "signed":
        top = float(np.quantile(np.abs(values), 0.995)) or 1.0
        return Normalize(-top, top)
    top = float(np.quantile(values, 0.999))
    top = top if top > 0 else 1.0
    if kind == "spread":
        return Normalize(0, top)
    return AsinhNorm(linear_width=0.1 * top, vmin=0, vmax=top)


def colour_bar(figure: Figure, shown: Any, axes: Any, label: str, **options: Any) -> None:
    """A colour bar with a few round ticks, also where the colours are stretched."""
    bar = figure.colorbar(shown, ax=axes, **options)
    if isinstance(shown.norm, AsinhNorm):
        ticks = [float(f"{share * shown.norm.vmax:.1g}") for share in (0, 0.05, 0.2, 0.5, 1)]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        bar.ax.minorticks_off()
    bar.set_label(label, fontsize=7)
    bar.ax.tick_params(labelsize=6)


def scale_bar(axes: plt.Axes, shape: tuple[int, int], scale: float) -> None:
    """A bar of a round length, about a quarter of the panel's width."""
    side = shape[1] * scale
    length = max((bar for bar in BARS if bar <= 0.3 * side), default=0.3 * side)
    x, y = 0.06 * shape[1], 0.07 * shape[0]
    style = {
        "color": "white",
        "path_effects": [matplotlib.patheffects.withStroke(linewidth=1.8, foreground="black")],
    }
    axes.plot([x, x + length / scale], [y, y], lw=1.5, solid_capstyle="butt", **style)
    axes.text(
        x + 0.5 * length / scale,
        y + 0.02 * shape[0],
        f'{length:g}"',
        ha="center",
        va="bottom",
        fontsize=7,
        **style,
    )


def bare(axes: plt.Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])


def draw_panels(panels: Sequence[Any], title: str = "", columns: int = 4) -> Figure:
    """One panel per image with its scale bar and colour bar; panels of one group share their colours.

    Arguments:
        panels: with the attributes of `skyscore.problems.Panel`: image (H, W), title, scale [arcsec], unit, ...
    """
    norms = {
        panel.group: limits(panel.kind, [p.image for p in panels if p.group == panel.group])
        for panel in panels
    }
    rows = math.ceil(len(panels) / columns)
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.35 * rows + 0.3), squeeze=False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            colours = matplotlib.colormaps[MAPS[panel.kind]].with_extremes(bad="0.35")
            shown = axes.imshow(
                panel.image, origin="lower", cmap=colours, norm=norms[panel.group], interpolation="nearest"
            )
            axes.set_title(panel.title)
            scale_bar(axes, panel.image.shape, panel.scale)
            colour_bar(figure, shown, axes, panel.unit, fraction=0.046, pad=0.02)
            bare(axes)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        if title:
            figure.suptitle(title)
    return figure


def draw_prior(
    generated: np.ndarray, real: np.ndarray, numbers: Mapping[str, float], side: int = 6
) -> Figure:
    """Images drawn from a prior (n, C, H, W) beside images that its training never saw, in one colour scale."""
    norm = limits("image", [generated[: side**2], real[: side**2]])
    label = "   ".join(f"{key.rsplit('/', 1)[-1]} = {value:.3g}" for key, value in numbers.items())
    with plt.rc_context(STYLE):
        figure, pair = plt.subplots(1, 2, figsize=(9.2, 4.9))
        for axes, images, name in zip(
            pair, (generated, real), ("drawn from the prior", "held out"), strict=True
        ):
            shown = axes.imshow(
                mosaic(images, side), origin="upper", cmap="inferno", norm=norm, interpolation="nearest"
            )
            axes.set_title(name)
            bare(axes)
        colour_bar(figure, shown, pair, "surface brightness [prior units]", fraction=0.025, pad=0.01)
        figure.suptitle(label, fontsize=8)
    return figure


def mosaic(images: np.ndarray, side: int) -> np.ndarray:
    """The first side^2 images (n, C, H, W), first channel, in a square with gaps; each image north up."""
    height, width = images.shape[-2:]
    sheet = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan, np.float32)
    for index, image in enumerate(images[: side**2]):
        row, column = divmod(index, side)
        sheet[row * (height + 1) :][:height, column * (width + 1) :][:, :width] = image[0, ::-1]
    return sheet


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
        axes.legend(
            ncols=len(samplers), fontsize=7, loc="upper center", bbox_to_anchor=(0.5, 1.14), frameon=False
        )
    return figure
