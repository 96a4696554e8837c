r"""Galaxies: bulge, disk, spiral arms and clumps, integrated over pixels.

A Sersic bulge sits in an inclined exponential disk. The disk carries logarithmic spiral arms and star-forming clumps,
both placed in the plane of the disk and seen at its inclination:

.. math::
    I(r) \propto \exp[-b_n ((r/R_e)^{1/n} - 1)], \qquad
    \Sigma_\mathrm{arms}(r, \theta) \propto e^{-r/h} \exp[\kappa \cos(m \theta - m \ln(r/h) / \tan p - \phi)]

Lengths are in units of half the field of view, so a seed gives the same galaxies at any number of pixels. Surface
brightness is positive and scaled so that its largest mean over a cell, a sixteenth of the field on a side, is
log-normal around 1. A prior in these units has no flux unit; each observation sets its own.

References: Sersic (1968), Atlas de Galaxias Australes; Ciotti & Bertin (1999), A&A 352, 447, eq. 18 (b_n);
Seigar & James (1998), MNRAS 299, 685 (logarithmic arms).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .rendered import Rendered, averaged, fine_axis

__all__ = ["Galaxies"]

MAX_CLUMPS = 32
SCALE_LENGTH = 1.678  # half-light radius of an exponential disk, in scale lengths
CORE = 0.03  # softening of the central cusp [half field], so that a finite oversampling integrates it


def draw_parameters(n: int, s: dict, g: np.random.Generator) -> dict[str, np.ndarray]:
    """Parameters of n galaxies, each an array of shape `(n,)` (`(n, MAX_CLUMPS)` for those of clumps)."""

    def uniform(key):
        low, high = s[key]
        return g.uniform(low, high, n)

    def lognormal(key, *shape):
        return s[key][0] * np.exp(s[key][1] * g.standard_normal(shape or n))

    p = {
        "x": s["offset"] * g.standard_normal(n),
        "y": s["offset"] * g.standard_normal(n),
        "R": lognormal("disk_radius"),
        "q": uniform("axis_ratio"),
        "pa": g.uniform(0, np.pi, n),
        "B": uniform("bulge_fraction"),
        "Rb": lognormal("bulge_radius"),
        "nb": uniform("sersic_index"),
        "kappa": uniform("arm_strength"),
        "m": g.choice([2.0, 3.0, 4.0], n, p=[0.7, 0.15, 0.15]),
        "tan_pitch": np.tan(np.radians(uniform("pitch_angle"))) * g.choice([-1.0, 1.0], n),
        "phase": g.uniform(0, 2 * np.pi, n),
        "log_peak": s["brightness_scatter"] * g.standard_normal(n),
    }
    p["Rb"] = np.maximum(p["Rb"] * p["R"], 0.03)
    # clumps follow the light of an exponential disk: r / h has a Gamma(2) distribution
    shape = (n, MAX_CLUMPS)
    p["clump_r"], p["clump_t"] = g.gamma(2.0, 1.0, shape), g.uniform(0, 2 * np.pi, shape)
    p["clump_s"] = lognormal("clump_radius", *shape)
    on = np.arange(MAX_CLUMPS) < np.minimum(g.poisson(s["clumps"], n), MAX_CLUMPS)[:, None]
    flux = g.lognormal(0.0, 0.7, shape) * on
    p["clump_f"] = s["clump_fraction"] * flux / max(s["clumps"], 1e-9) / np.exp(0.5 * 0.7**2)
    return p


def render(t: dict[str, Tensor], pixels: int) -> Tensor:
    """Surface brightness `(n, 1, pixels, pixels)`: the mean over the points of each pixel."""
    one = {k: v[:, None, None] for k, v in t.items() if v.ndim == 1}
    axis = fine_axis(pixels)
    dx, dy = axis[None, None, :] - one["x"], axis[None, :, None] - one["y"]
    c, s = torch.cos(one["pa"]), torch.sin(one["pa"])
    u, v = c * dx + s * dy, -s * dx + c * dy  # along the major and the minor axis
    h = one["R"] / SCALE_LENGTH

    v_disk = v / one["q"]
    r = (u**2 + v_disk**2 + CORE**2).sqrt()
    theta = torch.atan2(v_disk, u)
    winding = torch.log(r / h) / one["tan_pitch"]
    inner = 1 - torch.exp(-((r / (0.5 * h)) ** 2))  # arms start outside the bulge
    arms = torch.exp(one["kappa"] * inner * torch.cos(one["m"] * (theta - winding) - one["phase"]))
    disk = torch.exp(-r / h) / (2 * torch.pi * h**2 * one["q"]) * arms / torch.i0(one["kappa"])

    q_bulge = 0.5 * (1 + one["q"])  # rounder than the disk
    r_bulge = (u**2 + (v / q_bulge) ** 2 + CORE**2).sqrt()
    n = one["nb"]
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    norm = (
        2
        * torch.pi
        * n
        * torch.exp(b)
        * b ** (-2 * n)
        * torch.exp(torch.lgamma(2 * n))
        * one["Rb"] ** 2
        * q_bulge
    )
    bulge = torch.exp(-b * ((r_bulge / one["Rb"]) ** (1 / n) - 1)) / norm

    light = one["B"] * bulge + (1 - one["B"]) * (disk + clumps(t, dx[:, 0], dy[..., 0]))
    return averaged(light, t["log_peak"])


def clumps(t: dict[str, Tensor], dx: Tensor, dy: Tensor) -> Tensor:
    """Clumps `(n, H, W)` at distances dx `(n, W)` and dy `(n, H)` from the centres, flux in units of the disk's.

    They are placed in the plane of the disk and are round on the sky. Each is a product of a Gaussian in x and one in
    y, so their sum is a product of matrices.
    """
    t = {
        key: value[:, : int((t["clump_f"] > 0).sum(1).max())] if value.ndim > 1 else value
        for key, value in t.items()
    }
    r, s2 = t["clump_r"] * t["R"][:, None] / SCALE_LENGTH, t["clump_s"][..., None] ** 2
    major, minor = r * torch.cos(t["clump_t"]), r * torch.sin(t["clump_t"]) * t["q"][:, None]
    c, s = torch.cos(t["pa"])[:, None], torch.sin(t["pa"])[:, None]
    x, y = c * major - s * minor, s * major + c * minor  # (n, clumps)
    rows = torch.exp(-0.5 * (dy[:, None] - y[..., None]) ** 2 / s2)
    columns = torch.exp(-0.5 * (dx[:, None] - x[..., None]) ** 2 / s2)
    return (t["clump_f"][..., None] / (2 * torch.pi * s2) * rows).mT @ columns


class Galaxies(Rendered):
    """The simulator of this module."""

    kind = "galaxies"
    draw = staticmethod(draw_parameters)
    render = staticmethod(render)
