"""The figure of one prior: its draws beside held-out images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from .style import MAPS, STYLE, bare, colour_bar, limits, plt

__all__ = ["draw_prior", "mosaic"]


def draw_prior(
    generated: np.ndarray, real: np.ndarray, pqmass: Mapping[str, float], name: str, side: int = 6
) -> Figure:
    """Images drawn from a prior (n, C, H, W) beside images that were not used in its training, in one colour scale.

    Arguments:
        generated: draws of the prior.
        real: held-out images.
        pqmass: `chi2_dof` and `p_value` of the test of the first against the second.
        name: of the prior.
        side: images on a side of each mosaic.
    """
    look = "signed" if np.quantile(real, 0.1) < -0.05 * np.quantile(real, 0.9) else "image"
    norm = limits(look, [generated[: side**2], real[: side**2]])
    with plt.rc_context(STYLE):
        figure, pair = plt.subplots(1, 2, figsize=(9.2, 4.9))
        for axes, images, title in zip(
            pair, (generated, real), ("Draws of the prior", "Held-out images"), strict=True
        ):
            shown = axes.imshow(
                mosaic(images, side), origin="upper", cmap=MAPS[look], norm=norm, interpolation="nearest"
            )
            axes.set_title(title)
            bare(axes)
        colour_bar(figure, shown, pair, "Prior units", fraction=0.025, pad=0.01)
        figure.suptitle(f"{name}: PQMass chi2 / dof {pqmass['chi2_dof']:.2f}, p = {pqmass['p_value']:.2g}")
    return figure


def mosaic(images: np.ndarray, side: int) -> np.ndarray:
    """The first side^2 images (n, C, H, W), first channel, in a square with gaps; each image has north up."""
    height, width = images.shape[-2:]
    sheet = np.full((side * (height + 1) - 1, side * (width + 1) - 1), np.nan, np.float32)
    for index, image in enumerate(images[: side**2]):
        row, column = divmod(index, side)
        sheet[row * (height + 1) :][:height, column * (width + 1) :][:, :width] = image[0, ::-1]
    return sheet
