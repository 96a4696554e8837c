r"""Protoplanetary disks: rings, gaps and spirals in dust, seen at an inclination, integrated over pixels.

.. math:: I(r, \theta) \propto \frac{e^{-r / h}}{1 + (r / R)^{p}} \prod_g \Big(1 - d_g e^{-(r - r_g)^2 / 2 w_g^2}\Big)
    \Big(1 + c_g e^{-(r - r_g - 2 w_g)^2 / 2 w_g^2}\Big) e^{\kappa \cos(m \theta - m \ln(r) / \tan p_s - \phi)}

with gaps g, each with a bright ring at its outer edge, and the spiral absent in most disks. Such sources have sharp
edges and dark annuli that galaxies do not have: they test what a prior of galaxies makes of a sky that it was not
trained for. Lengths are in units of half the field, so that a seed gives the same disks at any number of pixels;
brightness is scaled as that of :mod:`skyscore.simulate.galaxies`.

Reference: Andrews et al. (2018), ApJL 869, L41, arXiv:1812.04040 (DSHARP: what such disks look like).
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from .rendered import Rendered, averaged, fine_axis

__all__ = ["Disks"]

# fmt: off
RANGE = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}
SETTINGS = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "radius": {**RANGE, "default": [0.5, 0.75], "unit": "half field",
            "description": "Radius at which the dust ends, uniform between the two."},
        "scale_length": {**RANGE, "default": [0.35, 0.7], "unit": "disk radius",
            "description": "Scale length of the brightness, uniform between the two."},
        "inclination": {**RANGE, "default": [0.0, 55.0], "unit": "degree",
            "description": "Inclination, the cosine uniform between those of the two."},
        "gaps": {"type": "integer", "minimum": 0, "maximum": 4, "default": 2,
            "description": "Largest number of gaps; each disk has 1 to this many."},
        "gap_depth": {**RANGE, "default": [0.6, 0.98],
            "description": "Light missing in the middle of a gap, uniform between the two."},
        "gap_width": {**RANGE, "default": [0.05, 0.10], "unit": "disk radius",
            "description": "Gaussian sigma of a gap, uniform between the two."},
        "ring_contrast": {**RANGE, "default": [0.3, 1.5],
            "description": "Excess of the ring outside each gap, uniform between the two."},
        "spiral_fraction": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.3,
            "description": "Share of disks with a two-armed spiral."},
        "spiral_strength": {**RANGE, "default": [0.3, 0.8],
            "description": "Strength of the spiral, uniform between the two."},
        "offset": {"type": "number", "minimum": 0, "default": 0.02, "unit": "half field",
            "description": "Standard deviation of a disk's centre."},
        "brightness_scatter": {"type": "number", "minimum": 0, "default": 0.25,
            "description": "Scatter of the natural logarithm of the peak brightness."},
    },
}
# fmt: on
CORE = 0.02  # softening of the centre [half field]
EDGE = 12.0  # exponent p of the outer edge


def draw_parameters(n: int, s: dict, g: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of n disks, each an array of shape `(n,)`; `(n, gaps)` for those of gaps and rings."""

    def uniform(key, *shape):
        return g.uniform(*s[key], (n, *shape))

    K = s["gaps"]
    p = {
        "x": s["offset"] * g.standard_normal(n),
        "y": s["offset"] * g.standard_normal(n),
        "R": uniform("radius"),
        "h": uniform("scale_length"),
        "cos_i": g.uniform(*np.cos(np.radians(s["inclination"]))[::-1], n),
        "pa": g.uniform(0, np.pi, n),
        "kappa": uniform("spiral_strength") * (g.uniform(size=n) < s["spiral_fraction"]),
        "tan_pitch": np.tan(np.radians(g.uniform(12, 30, n))) * g.choice([-1.0, 1.0], n),
        "phase": g.uniform(0, 2 * np.pi, n),
        "log_peak": s["brightness_scatter"] * g.standard_normal(n),
    }
    on = np.arange(K) < g.integers(1, K + 1, n)[:, None] if K else np.zeros((n, 0), bool)
    # gaps are spread over the disk, one in each of as many annuli as there are gaps
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
    """See the module."""

    kind = "disks"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS
    draw = staticmethod(draw_parameters)
    render = staticmethod(render)
