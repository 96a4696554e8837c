"""The base class of inverse problems: a stored observation and the code that knows its forward model.

To add a problem, add a folder named as its kind. It holds a module with one subclass of :class:`Problem` (`kind`,
`simulate` or `from_data` or both, `likelihood` or `normal_equations`), and `settings.yaml` with the settings of the
kind and the files that `from_data` reads. Then add one block to the configuration.
"""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skyscore.baselines.wiener import linear_estimate
from skyscore.config.kinds import problem_kinds
from skyscore.io import InputError
from skyscore.likelihoods.gaussian import GaussianLikelihood, Spectrum, compress, from_spectrum
from skyscore.observation import Observation, Panel
from skyscore.statistics.moments import Moments

from .flux import NegativeFlux, fit_flux_scale

__all__ = ["Problem"]

PANELS = 12  # panels of the figure of one posterior, at most


class Problem:
    """Creates a problem from its observation.

    Arguments:
        observation: made by `simulate` or `from_data`, or read back from a file.
        device: device of the likelihood's tensors.

    Attributes:
        shape: (C, H, W) of the unknown image.
        pixel_scale: pixel of the unknown image (scale_unit).
        unit: unit of `to_physical`.
        wcs: FITS cards of the unknown image, or None.
        operator: forward model of images in physical units (:mod:`skyscore.operators`).
        noise: law of the data's noise, with `whiten`, `solve` and `sample` (:mod:`skyscore.likelihoods.noise`).
        look: how panels show the unknown image, "image" or "signed".
        kind: kind of the problem, the name of the folder with its `settings.yaml`.
        CAPTION_NUMBERS: numbers of an observation or of samples that captions print, with their text
            (:mod:`skyscore.report.captions`).
    """

    kind: ClassVar[str] = ""
    CAPTION_NUMBERS: ClassVar[dict[str, str]] = {}
    shape: tuple[int, int, int]
    pixel_scale: float
    scale_unit: str = "arcsec"
    look: str = "image"
    unit: str
    wcs: dict[str, Any] | None = None
    operator: Any
    noise: Any

    def __init__(self, observation: Observation, device: str = "cpu"):
        self.observation, self.device = observation, device

    @cached_property
    def likelihood(self) -> GaussianLikelihood:
        """p(y | x) of an image x in prior units, compressed to at most D data.

        Uses the decomposition stored in the observation if there is one, otherwise the normal equations.
        """
        scale, kept = self.observation.attrs["flux_scale"], self.stored_spectrum()
        if kept is not None:
            spectrum = Spectrum(kept.V, scale * kept.s, kept.d)
            return from_spectrum(spectrum.to(torch.float64, self.device), self.shape)
        G, b = self.normal_equations()
        return compress((scale**2 * G).to(self.device), (scale * b).to(self.device), self.shape)

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """A' C^-1 A `(D, D)` and A' C^-1 y `(D,)` in physical units.

        Raises:
            NotImplementedError: if the problem defines neither these nor `likelihood`.
        """
        raise NotImplementedError(
            f"kind {self.kind!r} has neither likelihood nor normal_equations; define one of them in its class"
        )

    # ------------------------------------------------------------------ decomposition stored in the observation

    @staticmethod
    def store_spectrum(observation: Observation, spectrum: Spectrum) -> None:
        """Stores a decomposition of the likelihood, in physical units, so that samplers do not have to compute it."""
        observation.arrays |= {
            "singular_vectors": spectrum.V.float().numpy(),
            "singular_values": spectrum.s.numpy(),
            "coefficients": spectrum.d.numpy(),
        }

    def stored_spectrum(self) -> Spectrum | None:
        """The stored decomposition in float64, or None."""
        names, arrays = ("singular_vectors", "singular_values", "coefficients"), self.observation.arrays
        if names[0] not in arrays:
            return None
        return Spectrum(*(torch.as_tensor(arrays[name]).double() for name in names))

    def to_physical(self, x: Tensor) -> Tensor:
        """Surface brightness, in observed units, of images x in prior units: flux_scale x + flux_offset."""
        return x * self.observation.attrs.get("flux_scale", 1.0) + self.observation.attrs.get(
            "flux_offset", 0.0
        )

    # ------------------------------------------------------------------ an ensemble of observations

    # A problem that has the attributes `operator` (A in physical units, (B, *shape) -> (B, M)) and `noise` (the noise
    # law of the M data, with `whiten`, `solve` and `sample`) can use these methods unchanged.

    def observe(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """New data `(N, M)` of images x `(N, C, H, W)` in prior units: the same instrument, fresh noise."""
        clean = self.operator(self.to_physical(x.double().cpu())).flatten(1)
        return clean + self.noise.sample(len(x), generator).flatten(1)

    def solve(self, r: Tensor) -> Tensor:
        """C^-1 r of residuals r `(N, M)`, with C the covariance of the data given the image."""
        return self.noise.solve(r)

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood:
        """p(y | x), in prior units, of N observations y `(N, M)` at once; they share one decomposition."""
        spectrum, zero = self.likelihood.spectrum(), torch.zeros(1, *self.shape, dtype=torch.float64)
        scale = self.observation.attrs.get("flux_scale", 1.0)
        r = y.double().cpu() - self.operator(self.to_physical(zero)).flatten(1)
        back = scale * self.operator.adjoint(self.solve(r).reshape(-1, *self.operator.out_shape))
        V, s = spectrum.V.cpu(), spectrum.s.cpu()
        d = back.flatten(1) @ V / s
        return from_spectrum(Spectrum(V, s, d).to(torch.float64, self.device), self.shape)

    def estimates(self, y: Tensor, draws: np.ndarray) -> np.ndarray:
        """Images `(N, C, H, W)` in prior units, estimated from data y `(N, M)` alone.

        Arguments:
            draws: draws of the prior `(n, C, H, W)`, whose moments the estimate uses.
        """
        spectrum = self.likelihood_of(y).spectrum().to(torch.float64, "cpu")
        V, s, d = (part.numpy() for part in (spectrum.V, spectrum.s, spectrum.d))
        found = linear_estimate(V, s, d, draws.reshape(len(draws), -1).astype(float))
        return found.reshape(len(y), *self.shape)

    def chi2(self, x: Tensor, y: Tensor) -> Tensor:
        """r' Sigma^-1 r / M, shape `(N, n)`, of samples x `(N, n, C, H, W)` of N observations y `(N, M)`."""
        rows = []
        for samples, data in zip(x.double().cpu(), y.double().cpu(), strict=True):
            r = data - self.operator(self.to_physical(samples)).flatten(1)
            rows.append(self.noise.whiten(r).square().mean(1))
        return torch.stack(rows)

    # ------------------------------------------------------------------ checks and figure

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit of samples x (n, C, H, W) to all data: `chi2_dof` (n,) and further numbers.

        Raises:
            NotImplementedError: if the problem defines none.
        """
        raise NotImplementedError(f"kind {self.kind!r} has no residuals; define them in its class")

    def curves(self, images: dict[str, np.ndarray]) -> dict[str, Any]:
        """Further content of comparison.json: curves that this problem's figures show besides images and spectra.

        Arguments:
            images: reconstructions by name, `(n, H, W)`, in physical units.
        """
        return {}

    def panels(self, x: Tensor) -> list[Panel]:
        """Panels of the figure of samples x (n, C, H, W), in order; the first shows the data.

        Raises:
            NotImplementedError: if the problem defines none.
        """
        raise NotImplementedError(f"kind {self.kind!r} has no panels; define them in its class")

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Classical reconstructions by name: images (H, W) in physical units on the frame of the unknown.

        Arguments:
            moments: of the prior, for methods that use its mean and covariance.
        """
        return {}

    def checked(self, name: str, image: np.ndarray) -> dict[str, float]:
        """Agreement of a baseline (H, W) of this name with data held out as a check; {} if there are none."""
        return {}

    def truth_image(self) -> np.ndarray | None:
        """The truth of a simulation, (H, W), in physical units; None for real data."""
        if "truth" not in self.observation.arrays:
            return None
        return self.to_physical(torch.as_tensor(self.observation.arrays["truth"]).double())[0].numpy()

    def rms_to_truth(self, x: Tensor) -> np.ndarray:
        """Root mean square difference `(n,)` between samples x (n, C, H, W) and the truth, in prior units."""
        truth = torch.as_tensor(self.observation.arrays["truth"]).double()
        return (x.double().cpu() - truth).square().flatten(1).mean(1).sqrt().numpy()

    def sample_panels(
        self,
        shown: list[Panel],
        images: np.ndarray,
        group: str,
        title: str = "Sample",
        unit: str | None = None,
    ) -> list[Panel]:
        """Panels of single samples, as many as fit into the figure beside the panels already shown.

        Arguments:
            shown: panels of the same figure.
            images: samples `(n, H, W)` in `unit`; by default that is the unit of the unknown.
            group: colour scale of the panels.
            title: title of a panel, before the number of the sample.
        """
        look = (self.pixel_scale, unit or self.unit, group, self.look, self.scale_unit)
        some = images[: PANELS - len(shown)]
        return [Panel(image, f"{title} {k}", *look) for k, image in enumerate(some, 1)]

    def footprint(self) -> np.ndarray:
        """Pixels (H, W) of the unknown on which reconstructions are compared with the truth; all pixels by default."""
        return np.ones(self.shape[-2:], dtype=bool)

    # ------------------------------------------------------------------ observations

    @classmethod
    def completed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings with the defaults of `settings.yaml` filled in.

        Other keys of the configuration block (prior, samplers, ...) are dropped.
        """

        def complete(given: dict, properties: dict) -> dict:
            out = {}
            for key, node in properties.items():
                value = copy.deepcopy(given.get(key, node.get("default")))
                out[key] = complete(value, node["properties"]) if "properties" in node else value
            return out

        return complete(settings, problem_kinds()[cls.kind]["properties"])

    @staticmethod
    def fit_flux(observation: Observation, spectrum: Spectrum, moments: Moments, origin: str) -> None:
        """Sets the flux scale of an observation to the value of largest evidence under the prior's moments.

        Arguments:
            spectrum: decomposition of its likelihood in physical units.
            origin: what an error message names, such as the file that was read.

        Raises:
            InputError: if the prior's mean image fits the data with negative brightness.
        """
        try:
            flux = fit_flux_scale(spectrum, moments)
        except NegativeFlux as error:
            raise InputError(f"{origin}: {error}") from error
        print(f"flux scale {flux.scale:.4g} +- {flux.error:.2g} per prior unit, texture {flux.texture:.3g}")
        found = {"flux_scale": flux.scale, "flux_scale_error": flux.error}
        observation.attrs |= found
        observation.attrs["numbers"] |= found | {"flux_texture": flux.texture}

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """An observation of one of `images` (n, C, H, W) in prior units, with its truth.

        Raises:
            NotImplementedError: for kinds that cannot be simulated.
        """
        raise NotImplementedError(f"kind {cls.kind!r} cannot be simulated; give `data` or `files`")

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments) -> Observation:
        """The observation in `files` (role: path). The `moments` of the prior set the flux scale.

        Raises:
            NotImplementedError: for kinds without a reader of real data.
        """
        raise NotImplementedError(f"kind {cls.kind!r} cannot read real data; remove `data` and `files`")
