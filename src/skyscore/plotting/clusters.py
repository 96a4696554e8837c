"""Cut-outs of a convergence map around clusters: samples, their mean and standard deviation, and classical maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import MAPS, STYLE, bare, colour_bar, limits, plt, scale_bar

__all__ = ["cut_outs", "draw_clusters"]


def cut_outs(image: np.ndarray, places: np.ndarray, half: int) -> np.ndarray:
    """Squares `(n, 2 half + 1, 2 half + 1)` of an image (H, W) around positions `(n, 2)`, column and row.

    Each is centred on the pixel that contains the position; outside the image it is NaN.
    """
    wide = np.pad(image.astype(float), half, constant_values=np.nan)
    column, row = np.rint(places).astype(int).T
    side = 2 * half + 1
    return np.stack([wide[i : i + side, j : j + side] for i, j in zip(row, column, strict=True)])


def draw_clusters(
    names: Sequence[str],
    maps: Mapping[str, np.ndarray],
    places: np.ndarray,
    shown: int,
    half: int,
    scale: float,
    title: str = "",
) -> Figure:
    """One column for each map, one row for each of the first clusters, and a last row with the mean over all clusters.

    The colour scale of each map is set by its cut-outs that are shown; all samples share one.

    Arguments:
        names: label beside each of the first clusters.
        maps: (H, W) by the title of their column; those whose title begins with "Sample" share a colour scale.
        places: positions of all clusters, `(n, 2)`, column and row.
        shown: number of clusters with a row.
        half: half-side of a cut-out (pixels).
        scale: pixel (arcmin).
    """
    cuts = {title: cut_outs(image, places, half) for title, image in maps.items()}
    stacks = {title: np.nanmean(cut, 0) for title, cut in cuts.items()}
    samples = [cut for title, cut in cuts.items() if title.startswith("Sample")]
    with plt.rc_context(STYLE):
        size = 1.35 * len(maps) + 1.2, 1.35 * (shown + 1) + 0.6
        figure, grid = plt.subplots(shown + 1, len(maps), figsize=size, squeeze=False)
        for k, (column, cut) in enumerate(cuts.items()):
            kind = "spread" if column == "Standard deviation" else "signed"
            norm = limits(kind, samples if column.startswith("Sample") else [cut[:shown]])
            for row, image in enumerate([*cut[:shown], stacks[column]]):
                axes = grid[row, k]
                colours = plt.get_cmap(MAPS[kind]).with_extremes(bad="0.35")
                drawn = axes.imshow(image, origin="lower", cmap=colours, norm=norm, interpolation="nearest")
                if row == 0:
                    axes.set_title(column, fontsize=7)
                    scale_bar(axes, image.shape, scale, "arcmin", dark=kind == "signed")
                axes.plot(half, half, "o", mfc="none", mec="black", ms=9, mew=0.6)
                bare(axes)
            colour_bar(figure, drawn, list(grid[:, k]), "", location="bottom", pad=0.02)
        for axes, name in zip(grid[:, 0], [*names[:shown], f"Mean of\nall {len(places)}"], strict=True):
            axes.set_ylabel(name, fontsize=7)
        if title:
            figure.suptitle(title)
    return figure
