"""What passes between the parts of the library: an observation, a panel of a figure, and what a problem looks like.

No module of the library is imported here and torch is not needed, so that readers, writers and figures can use it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Observation", "Panel", "ProblemLike", "SamplesLike"]


@dataclass
class Observation:
    """Data of one problem, complete: what is needed to rebuild its likelihood and to check samples against it.

    Attributes:
        problem: kind of the problem, a key of `PROBLEMS`.
        arrays: by name; images are (H, W) with row = +y, column = +x.
        attrs: JSON-able: settings, units, pixel scales, `flux_scale`, `flux_offset`, and `numbers`, flat, for
            numbers.json.
    """

    problem: str
    arrays: dict[str, np.ndarray]
    attrs: dict[str, Any] = field(default_factory=dict)


@dataclass
class Panel:
    """One part of a figure.

    Attributes:
        image: (H, W); not-a-number where there is nothing to show. Of points: (2, N), their x and y.
        title: above the panel.
        scale: pixel, in units of scale_unit; not used of points.
        unit: of the values, for the colour bar; of points, of both axes.
        group: panels of the same group share their colour scale.
        kind: "image" (from zero up, stretched), "spread" (from zero up, linear), "signed" (around zero) or "points"
            (a scatter plot, such as the coverage of a Fourier plane).
        scale_unit: "arcsec", "arcmin" or "degree".
        marks: places to circle, [column, row] each, or None.
    """

    image: np.ndarray
    title: str
    scale: float
    unit: str
    group: str
    kind: str = "image"
    scale_unit: str = "arcsec"
    marks: list[list[float]] | None = None


class ProblemLike(Protocol):
    """What a file of samples says about the problem they belong to; :class:`skyscore.problems.base.Problem` has it."""

    pixel_scale: float
    scale_unit: str
    unit: str
    wcs: dict[str, Any] | None

    def to_physical(self, x: Tensor) -> Tensor:
        """Images in physical units from images x in prior units."""
        ...


class SamplesLike(Protocol):
    """Posterior samples to be written; :class:`skyscore.samplers.Samples` has it."""

    x: Tensor
    nfe: float
    nvjp: float
    diagnostics: dict[str, Any]
