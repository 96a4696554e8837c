"""Cut-outs of a convergence map around clusters: what the samples, their mean and the classical maps have there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import MAPS, STYLE, bare, colour_bar, limits, plt, scale_bar

__all__ = ["cut_outs", "draw_clusters"]


def cut_outs(image: np.ndarray, places: np.ndarray, half: int) -> np.ndarray:
    """Squares `(n, 2 half + 1, 2 half + 1)` of an image (H, W) around places `(n, 2)`, column and row.

    Each is centred on the pixel that the place lies in; beyond the image it is not-a-number.
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
    """One column for each map, one row for each of the first clusters, and their mean over all of them.

    Each map has a colour scale of its own, of its cut-outs that are shown; all samples share one.

    Arguments:
        names: what is written beside each of the first clusters.
        maps: (H, W) by the title of their column; those whose title begins with "sample" share a colour scale.
        places: of all clusters, `(n, 2)`, column and row.
        shown: how many of them have a row.
        half: of a cut-out (pixels). scale: of a pixel (arcmin).
    """
    cuts = {title: cut_outs(image, places, half) for title, image in maps.items()}
    stacks = {title: np.nanmean(cut, 0) for title, cut in cuts.items()}
    samples = [cut for title, cut in cuts.items() if title.startswith("sample")]
    with plt.rc_context(STYLE):
        size = 1.35 * len(maps) + 1.2, 1.35 * (shown + 1) + 0.6
        figure, grid = plt.subplots(shown + 1, len(maps), figsize=size, squeeze=False)
        for k, (column, cut) in enumerate(cuts.items()):
            kind = "spread" if column == "standard deviation" else "signed"
            norm = limits(kind, samples if column.startswith("sample") else [cut[:shown]])
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
        for axes, name in zip(grid[:, 0], [*names[:shown], f"mean of\nall {len(places)}"], strict=True):
            axes.set_ylabel(name, fontsize=7)
        if title:
            figure.suptitle(title)
    return figure
