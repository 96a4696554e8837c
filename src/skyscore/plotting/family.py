"""The unlensed sources of several lenses side by side, each with its own scale in kpc."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from .style import MAPS, STYLE, bare, colour_bar, limits, plt, scale_bar

__all__ = ["Member", "draw_family"]


@dataclass
class Member:
    """One source of the figure.

    Attributes:
        name: title of its column.
        samples: posterior samples, shape `(n, H, W)`, in `unit`.
        scale: pixel (arcsec).
        unit: of the pixel values.
        redshift: of the source.
        kpc: proper kpc per arcsec at that redshift.
    """

    name: str
    samples: np.ndarray
    scale: float
    unit: str
    redshift: float
    kpc: float


def draw_family(members: Sequence[Member], title: str = "") -> Figure:
    """One column for each source: posterior mean above, one sample below, in one colour scale; scale bars in proper
    kpc.
    """
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(2, len(members), figsize=(2.9 * len(members), 5.4), squeeze=False)
        for column, member in zip(grid.T, members, strict=True):
            images = {"Posterior mean": member.samples.mean(0), "Posterior sample": member.samples[0]}
            norm = limits("image", list(images.values()))
            for axes, (what, image) in zip(column, images.items(), strict=True):
                shown = axes.imshow(
                    image, origin="lower", cmap=MAPS["image"], norm=norm, interpolation="nearest"
                )
                scale_bar(axes, image.shape, member.scale * member.kpc, "kpc")
                bare(axes)
                axes.set_title(what)
            column[0].set_title(f"{member.name}, z = {member.redshift:g}\nPosterior mean")
            colour_bar(figure, shown, list(column), member.unit, fraction=0.046, pad=0.02)
        if title:
            figure.suptitle(title)
    return figure
