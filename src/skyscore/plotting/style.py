"""The common style of all figures: colours for all kinds of vision and for print, scale bars instead of ticks, units on
every colour bar.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import matplotlib
import matplotlib.patheffects

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import AsinhNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

__all__ = [
    "COLOURS",
    "MAPS",
    "MARKERS",
    "STYLE",
    "bare",
    "colour_bar",
    "limits",
    "plt",
    "scale_bar",
    "show",
]

STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
}
MAPS = {"image": "inferno", "spread": "viridis", "signed": "RdBu_r"}
# Okabe & Ito's palette, distinguishable with any colour vision; markers carry the same information in black and white
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"
BARS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)  # possible lengths of a scale bar, in its unit
SYMBOLS = {"arcsec": '"', "microarcsec": " \N{MICRO SIGN}as", "arcmin": "'", "degree": "\N{DEGREE SIGN}"}


def limits(kind: str, images: Sequence[np.ndarray]) -> Normalize:
    """One colour scale for panels that are compared."""
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
    """A colour bar with a few round ticks, also for stretched colours; very large or small values in powers of 1000."""
    bar = figure.colorbar(shown, ax=axes, **options)
    top = max(abs(shown.norm.vmin), abs(shown.norm.vmax))
    power = 3 * math.floor(math.log10(top) / 3) if not 0.01 <= top < 1e4 else 0
    if isinstance(shown.norm, AsinhNorm):
        ticks = [float(f"{share * top:.1g}") for share in (0, 0.05, 0.2, 0.5, 0.95)]
        bar.set_ticks([tick for tick in ticks if tick <= top])
    bar.formatter = FuncFormatter(lambda value, _: f"{value / 10**power:.6g}")
    bar.update_ticks()
    bar.ax.minorticks_off()
    bar.set_label(f"$10^{{{power}}}$ {label}" if power else label, fontsize=7)
    bar.ax.tick_params(labelsize=6)


def scale_bar(
    axes: plt.Axes, shape: tuple[int, int], scale: float, unit: str = "arcsec", dark: bool = False
) -> None:
    """A bar of a round length, about a quarter of the panel's width; `scale` is a pixel in `unit`.

    It is white on dark images and black on light ones, with an outline of the other colour.
    """
    if unit == "arcsec" and shape[1] * scale < 0.01:
        scale, unit = 1e6 * scale, "microarcsec"
    side = shape[1] * scale
    length = max((bar for bar in BARS if bar <= 0.3 * side), default=0.3 * side)
    x, y = 0.06 * shape[1], 0.07 * shape[0]
    front, back = ("black", "white") if dark else ("white", "black")
    stroke = [matplotlib.patheffects.withStroke(linewidth=1.8, foreground=back)]
    style: dict[str, Any] = {"color": front, "path_effects": stroke}
    ends, thick = [x, x + length / scale], [matplotlib.patheffects.withStroke(linewidth=3.0, foreground=back)]
    axes.plot(ends, [y, y], lw=1.8, solid_capstyle="butt", color=front, path_effects=thick)
    axes.text(
        x + 0.5 * length / scale,
        y + 0.02 * shape[0],
        f"{length:g}{SYMBOLS.get(unit, ' ' + unit)}",
        ha="center",
        va="bottom",
        fontsize=7,
        **style,
    )


def bare(axes: plt.Axes) -> None:
    """Removes the ticks."""
    axes.set_xticks([])
    axes.set_yticks([])


def show(axes: plt.Axes, panel: Any, norm: Normalize) -> Any:
    """Draws the image of a panel (`skyscore.observation.Panel`) with its title and scale bar.

    Returns:
        The image artist, for a colour bar.
    """
    colours = matplotlib.colormaps[MAPS[panel.kind]].with_extremes(bad="0.35")
    shown = axes.imshow(panel.image, origin="lower", cmap=colours, norm=norm, interpolation="nearest")
    axes.set_title(panel.title)
    if getattr(panel, "marks", None):
        x, y = np.transpose(panel.marks)
        axes.plot(x, y, "o", mfc="none", mec="black", ms=5, mew=0.7)
    scale_bar(axes, panel.image.shape, panel.scale, panel.scale_unit, dark=panel.kind == "signed")
    bare(axes)
    return shown
