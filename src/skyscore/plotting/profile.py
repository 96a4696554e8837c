"""Radial brightness profile of a disk: posterior samples and a published profile that no sampler used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from .style import COLOURS, MAPS, STYLE, bare, colour_bar, limits, plt, scale_bar

__all__ = ["draw_profile"]

LINES = (("black", "--"), (COLOURS[2], "-."), (COLOURS[1], ":"))  # colour and dashes of the other profiles


def draw_profile(
    radii: np.ndarray,
    samples: np.ndarray,
    lines: Mapping[str, np.ndarray],
    image: np.ndarray,
    scale: float,
    rings: Mapping[float, str],
    outlines: Sequence,
    title: str = "",
) -> Figure:
    """The image with its rings; the profiles on a logarithmic scale, and times r^2, where rings appear as peaks.

    Arguments:
        radii: `(R,)`, along the major axis (arcsec).
        samples: quantiles 0.025, 0.16, 0.5, 0.84, 0.975 of the profiles of posterior samples, `(5, R)` (mJy /
            arcsec^2).
        lines: other profiles `(R,)` by name.
        image: posterior mean (H, W) (mJy / arcsec^2), north up, east left.
        scale: its pixel (arcsec).
        rings: label of the ring at each radius (arcsec).
        outlines: rows and columns of each ring, `(2, K, n_rings)`.
    """
    low, under, median, over, high = samples
    with plt.rc_context(STYLE):
        figure, (left, centre, right) = plt.subplots(1, 3, figsize=(11.5, 3.6), width_ratios=[1.15, 1.2, 1.2])
        shown = left.imshow(image, origin="lower", cmap=MAPS["image"], norm=limits("image", [image]))
        rows, columns = np.asarray(outlines)
        left.plot(columns, rows, "w--", lw=0.7)
        left.set_title("Posterior mean")
        scale_bar(left, image.shape, scale)
        bare(left)
        colour_bar(figure, shown, left, "mJy / arcsec$^2$", shrink=0.9, pad=0.03)
        for axes, power in ((centre, 0), (right, 2)):
            r = radii**power
            axes.fill_between(radii, r * low, r * high, color=COLOURS[0], alpha=0.2, lw=0, label="95 %")
            axes.fill_between(radii, r * under, r * over, color=COLOURS[0], alpha=0.4, lw=0, label="68 %")
            axes.plot(radii, r * median, color=COLOURS[0], lw=1.4, label="Median of the samples")
            for (name, line), (colour, dashes) in zip(lines.items(), LINES, strict=False):
                axes.plot(radii, r * line, color=colour, ls=dashes, lw=1.2, label=name)
            for radius in rings:
                axes.axvline(radius, color="0.6", lw=0.7, zorder=0)
            axes.set_xlabel("Radius (arcsec)")
            axes.set_xlim(radii[0], radii[-1])
        for radius, name in rings.items():
            style = {"ha": "right", "va": "top", "rotation": 90, "fontsize": 7, "color": "0.4"}
            centre.text(radius, 0.98, name, transform=centre.get_xaxis_transform(), **style)
        centre.set(yscale="log", title="Brightness (mJy / arcsec$^2$)")
        centre.set_ylim(0.7 * min(np.min(v[v > 0]) for v in (median, *lines.values())), None)
        right.set(title="Brightness x radius$^2$ (mJy)")
        right.set_ylim(0, None)
        right.legend(fontsize=7, frameon=False, loc="upper left")
        if title:
            figure.suptitle(title)
    return figure
