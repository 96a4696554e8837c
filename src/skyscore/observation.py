"""Data classes shared by all parts of the library: observations, panels of figures, and protocols.

This module imports no other module of the library and does not need torch, so that readers, writers and figures can
use it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Observation", "Panel", "PriorLike", "ProblemLike", "SamplesLike"]


@dataclass
class Observation:
    """Data of one problem, complete: enough to rebuild its likelihood and to check samples against it.

    Attributes:
        problem: kind of the problem, a key of `PROBLEMS`.
        arrays: arrays by name; images are `(H, W)` with row = +y, column = +x.
        attrs: JSON-serialisable attributes: settings, units, pixel scales, `flux_scale`, `flux_offset`, and
            `numbers`, a flat dictionary for numbers.json.
    """

    problem: str
    arrays: dict[str, np.ndarray]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Panel:
    """One panel of a figure.

    Attributes:
        image: image `(H, W)`, NaN where there is no value; for points their x and y, `(2, N)`.
        title: text above the panel.
        scale: pixel size, in units of scale_unit; not used for points.
        unit: unit of the values, for the colour bar; for points, unit of both axes.
        group: panels of the same group share their colour scale.
        kind: "image" (from zero upwards, stretched), "spread" (from zero upwards, linear), "signed" (around zero) or
            "points" (a scatter plot, such as the coverage of a Fourier plane).
        scale_unit: "arcsec", "arcmin" or "degree".
        marks: positions to circle, [column, row] each, or None.
    """

    image: np.ndarray
    title: str
    scale: float
    unit: str
    group: str
    kind: str = "image"
    scale_unit: str = "arcsec"
    marks: list[list[float]] | None = None


class PriorLike(Protocol):
    """A prior as samplers use it; :mod:`skyscore.priors` has several."""

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """E[x0 | x0 + sigma z = x], shape of x, `(B, *in_shape)`; sigma is a number or has shape `(B,)`."""
        ...


class ProblemLike(Protocol):
    """The properties of a problem that a file of samples stores, as in :class:`skyscore.problems.base.Problem`."""

    pixel_scale: float
    scale_unit: str
    unit: str
    wcs: dict[str, Any] | None

    def to_physical(self, x: Tensor) -> Tensor:
        """Images in physical units, given images x in prior units; shape of x."""
        ...


class SamplesLike(Protocol):
    """Posterior samples as writers use them, such as :class:`skyscore.samplers.Samples`."""

    x: Tensor
    nfe: float
    nvjp: float
    diagnostics: dict[str, Any]
