"""What an inverse problem is: an observation that can be stored, and the code that knows its forward model.

A new problem is one module in this folder with one subclass of :class:`Problem` (`kind`, `SETTINGS`, `simulate` and/or
`from_data`, `_build`), and one block in the configuration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from ..likelihoods.gaussian import GaussianLikelihood

__all__ = ["Observation", "Panel", "Problem"]


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
    """

    image: np.ndarray
    title: str
    scale: float
    unit: str
    group: str
    kind: str = "image"
    scale_unit: str = "arcsec"


class Problem:
    """Creates a problem from its observation.

    Arguments:
        observation: as made by `simulate` or `from_data`, perhaps read back from a file.
        device: where the likelihood's tensors live.

    Attributes:
        shape: (C, H, W) of the unknown image.
        pixel_scale: of the unknown image (scale_unit); unit: of `to_physical`; wcs: FITS cards or None.
        look: kind of the panels that show the unknown, "image" or "signed".
    """

    kind: ClassVar[str] = ""
    SETTINGS: ClassVar[dict[str, Any]] = {}
    shape: tuple[int, int, int]
    pixel_scale: float
    scale_unit: str = "arcsec"
    look: str = "image"
    unit: str
    wcs: dict[str, Any] | None = None

    def __init__(self, observation: Observation, device: str = "cpu"):
        self.observation, self.device = observation, device

    @property
    def likelihood(self) -> GaussianLikelihood:
        """p(y | x) of an image x in prior units, compressed to at most D data."""
        raise NotImplementedError

    def to_physical(self, x: Tensor) -> Tensor:
        """Surface brightness in observed units of images x in prior units: flux_scale x + flux_offset."""
        return x * self.observation.attrs.get("flux_scale", 1.0) + self.observation.attrs.get(
            "flux_offset", 0.0
        )

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit of samples x (n, C, H, W) to all data: `chi2_dof` (n,) and further numbers."""
        raise NotImplementedError

    def panels(self, x: Tensor) -> list[Panel]:
        """What the figure of samples x (n, C, H, W) shows, in order; the first is the data."""
        raise NotImplementedError

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Classical reconstructions by name: images (H, W) in physical units on the frame of the unknown.

        Arguments:
            moments: of the prior, :class:`skyscore.problems.flux.Moments`, for those that use its mean and covariance.
        """
        return {}

    def footprint(self) -> np.ndarray:
        """Pixels (H, W) of the unknown on which reconstructions are compared with the truth; all by default."""
        return np.ones(self.shape[-2:], dtype=bool)

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """An observation of one of `images` (n, C, H, W) in prior units, with its truth."""
        raise NotImplementedError(f"problems of kind {cls.kind!r} cannot be simulated")

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments) -> Observation:
        """The observation held by `files` (role: path); `moments` of the prior set the flux scale."""
        raise NotImplementedError(f"problems of kind {cls.kind!r} have no reader of real data")
