r"""Protoplanetary disks: rings, gaps and spirals in dust, seen at an inclination, integrated over pixels.

.. math:: I(r, \theta) \propto \frac{e^{-r / h}}{1 + (r / R)^{p}} \prod_g \Big(1 - d_g e^{-(r - r_g)^2 / 2 w_g^2}\Big)
    \Big(1 + c_g e^{-(r - r_g - 2 w_g)^2 / 2 w_g^2}\Big) e^{\kappa \cos(m \theta - m \ln(r) / \tan p_s - \phi)}

with gaps g, each with a bright ring at its outer edge; most disks have no spiral. Such sources have sharp edges and
dark annuli that galaxies do not have: they test how a prior of galaxies handles a sky that it was not trained on.
Lengths are in units of half the field, so a seed gives the same disks at any number of pixels. Brightness is scaled as
in :mod:`skyscore.simulate.galaxies`.

Reference: Andrews et al. (2018), ApJL 869, L41, arXiv:1812.04040 (DSHARP: the appearance of such disks).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .rendered import Rendered, averaged, fine_axis

__all__ = ["Disks"]

CORE = 0.02  # softening of the centre [half field]
EDGE = 12.0  # exponent p of the outer edge


def draw_parameters(n: int, s: dict, g: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of n disks, each an array of shape `(n,)`; `(n, gaps)` for those of gaps and rings."""

    def uniform(key, *shape):
        low, high = s[key]
        return g.uniform(low, high, (n, *shape))

    K = s["gaps"]
    high, low = np.cos(np.radians(s["inclination"]))
    p = {
        "x": s["offset"] * g.standard_normal(n),
        "y": s["offset"] * g.standard_normal(n),
        "R": uniform("radius"),
        "h": uniform("scale_length"),
        "cos_i": g.uniform(low, high, n),
        "pa": g.uniform(0, np.pi, n),
        "kappa": uniform("spiral_strength") * (g.uniform(size=n) < s["spiral_fraction"]),
        "tan_pitch": np.tan(np.radians(g.uniform(12, 30, n))) * g.choice([-1.0, 1.0], n),
        "phase": g.uniform(0, 2 * np.pi, n),
        "log_peak": s["brightness_scatter"] * g.standard_normal(n),
    }
    on = np.arange(K) < g.integers(1, K + 1, n)[:, None] if K else np.zeros((n, 0), bool)
    # gaps are spread over the disk: it is divided into as many annuli as there are gaps, with one gap in each
    p["gap_r"] = (
        0.2 + 0.65 * (np.arange(K) + g.uniform(0.25, 0.75, (n, K))) / np.maximum(on.sum(1), 1)[:, None]
    )
    p["gap_w"] = uniform("gap_width", K)
    p["gap_d"] = uniform("gap_depth", K) * on
    p["ring_c"] = uniform("ring_contrast", K) * on
    return p


def render(t: dict[str, Tensor], pixels: int) -> Tensor:
    """Surface brightness `(n, 1, pixels, pixels)`: the mean over the points of each pixel."""
    one = {k: v[:, None, None] for k, v in t.items() if v.ndim == 1}
    axis = fine_axis(pixels)
    dx, dy = axis[None, None, :] - one["x"], axis[None, :, None] - one["y"]
    c, s = torch.cos(one["pa"]), torch.sin(one["pa"])
    u, v = c * dx + s * dy, (-s * dx + c * dy) / one["cos_i"]
    r = (u**2 + v**2 + CORE**2).sqrt() / one["R"]
    theta = torch.atan2(v, u)
    light = torch.exp(-r / one["h"]) / (1 + r**EDGE)
    for k in range(t["gap_r"].shape[1]):
        centre, width, depth, contrast = (
            t[name][:, k, None, None] for name in ("gap_r", "gap_w", "gap_d", "ring_c")
        )
        light = light * (1 - depth * torch.exp(-0.5 * ((r - centre) / width) ** 2))
        light = light * (1 + contrast * torch.exp(-0.5 * ((r - centre - 2 * width) / width) ** 2))
    winding = torch.log(r) / one["tan_pitch"]
    light = light * torch.exp(one["kappa"] * torch.cos(2 * (theta - winding) - one["phase"]))
    return averaged(light, t["log_peak"])


class Disks(Rendered):
    """The simulator of this module."""

    kind = "disks"
    draw = staticmethod(draw_parameters)
    render = staticmethod(render)
