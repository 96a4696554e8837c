"""The figure of SLIC on parameters: one example, its posterior under two likelihoods, and the coverage of all
likelihoods.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .style import COLOURS, MAPS, MARKERS, STYLE, bare, colour_bar, limits, plt

__all__ = ["LABELS", "draw_slic"]

LABELS = {
    "learned": "Learned score (SLIC)",
    "gaussian": "Gaussian, measured covariance",
    "independent": "Gaussian, independent pixels",
    "linear": "Gaussian noise, linear model",
    "student_exact": "Student-t: density",
    "student_score": "Student-t: score alone",
    "student_gaussian": "Student-t: Gaussian approximation",
}
COLOUR = {"learned": COLOURS[0], "gaussian": COLOURS[1], "independent": COLOURS[4], "linear": COLOURS[2],
          "student_exact": COLOURS[6], "student_score": COLOURS[5], "student_gaussian": COLOURS[3]}  # fmt: skip
SHOWN = (0, 1, 2, 3)  # parameters in the corner plot


def draw_slic(numbers: Mapping[str, float], curves: Mapping[str, Any], example: Mapping[str, Any]) -> Figure:
    """Three images and the corner plot of one simulation; coverage of the likelihoods and of the controls.

    Arguments:
        numbers: flat, including slic/<likelihood>/tarp_deviation.
        curves: by likelihood `alpha`, `ecp` `(K,)`, `band` `(2, K)`.
        example: `data`, `truth_image`, `noise` `(h, w)`, `names`, `truth` `(D,)`, `draws` by likelihood `(S, D)`.
    """
    with plt.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=(11, 6.6), layout="constrained")
        left, middle, right = figure.subfigures(1, 3, width_ratios=[2.1, 5.0, 3.6])  # type: ignore[misc]
        draw_images(left, example)
        draw_corner(middle, example)
        upper, lower = right.subplots(2, 1, sharex=True)
        draw_curves(upper, "Same data", ("learned", "gaussian", "independent"), numbers, curves)
        draw_curves(
            lower,
            "Controls",
            ("linear", "student_exact", "student_score", "student_gaussian"),
            numbers,
            curves,
        )
        lower.set_xlabel("Credibility")
    return figure


def draw_images(figure: Any, example: Mapping[str, Any]) -> None:
    """Data, source and noise of the example in one colour scale."""
    panels = (("data", "Data"), ("truth_image", "Source"), ("noise", "Noise"))
    images = [np.array(example[key]) for key, _ in panels]
    norm = limits("signed", images)
    rows = figure.subplots(3, 1)
    for axes, image, (_, title) in zip(rows, images, panels, strict=True):
        shown = axes.imshow(image, origin="lower", cmap=MAPS["signed"], norm=norm, interpolation="nearest")
        axes.set_title(title)
        bare(axes)
    colour_bar(figure, shown, rows, "Core standard deviations", fraction=0.05, pad=0.02, shrink=0.6)


def draw_corner(figure: Any, example: Mapping[str, Any]) -> None:
    """Corner plot: draws under both likelihoods, parameter against parameter, and their histograms; lines mark the
    truth.
    """
    n, names, truth = len(SHOWN), example["names"], example["truth"]
    grid = figure.subplots(n, n, sharex="col")
    draws = {name: np.array(v) for name, v in example["draws"].items()}
    for row, i in enumerate(SHOWN):
        for column, j in enumerate(SHOWN):
            axes = grid[row, column]
            if column > row:
                axes.set_axis_off()
                continue
            axes.axvline(truth[j], color="0.3", lw=0.8)
            for k, (name, x) in enumerate(draws.items()):
                if row == column:
                    axes.hist(x[:, i], 12, density=True, histtype="stepfilled", color=COLOUR[name], alpha=0.3)
                    axes.hist(x[:, i], 12, density=True, histtype="step", color=COLOUR[name], lw=1.2)
                else:
                    axes.plot(x[:, j], x[:, i], MARKERS[k], ms=2.5, alpha=0.6, mew=0, color=COLOUR[name])
            if row > column:
                axes.axhline(truth[i], color="0.3", lw=0.8)
            axes.tick_params(labelsize=6)
            axes.locator_params(nbins=3)
            if row == column or column:
                axes.set_yticklabels([])
            if row == column:
                axes.set_yticks([])
            if row == n - 1:
                axes.set_xlabel(names[j])
            if column == 0 and row:
                axes.set_ylabel(names[i])
    handles = [plt.Line2D([], [], color=COLOUR[name], marker=MARKERS[k], ms=4, label=LABELS[name])
               for k, name in enumerate(draws)]  # fmt: skip
    handles.append(plt.Line2D([], [], color="0.3", lw=0.8, label="Truth"))
    figure.legend(handles=handles, loc="upper right", bbox_to_anchor=(0.98, 0.96), frameon=False)


def draw_curves(axes: Any, title: str, wanted: tuple[str, ...], numbers: Mapping, curves: Mapping) -> None:
    """Expected coverage minus credibility; calibrated likelihoods stay inside the null band."""
    shown = [name for name in wanted if name in curves]
    for index, name in enumerate(shown):
        curve = curves[name]
        alpha, ecp = np.array(curve["alpha"]), np.array(curve["ecp"])
        if index == 0:
            low, high = np.array(curve["band"]) - alpha
            axes.fill_between(alpha, low, high, color="0.85", lw=0, label="99 % of curves if calibrated")
        label = f"{LABELS[name]}: {numbers[f'slic/{name}/tarp_deviation']:.3f}"
        look = {"marker": MARKERS[index], "ms": 3.5, "markevery": max(1, len(alpha) // 12), "lw": 1.2}
        axes.plot(alpha, ecp - alpha, color=COLOUR[name], label=label, **look)
    axes.axhline(0, color="0.4", lw=0.8)
    axes.set_xlim(0, 1)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.45 * (high - low))  # room for the legend
    axes.set_title(f"{title} (legend: mean |coverage - credibility|)")
    axes.set_ylabel("Expected coverage - credibility")
    axes.legend(fontsize=6.5, loc="upper left", frameon=False)
