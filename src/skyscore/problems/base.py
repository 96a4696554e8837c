"""What an inverse problem is: an observation that can be stored, and the code that knows its forward model.

A new problem is one module in this folder with one subclass of :class:`Problem` (`kind`, `SETTINGS`, `simulate` and/or
`from_data`, `likelihood` or `normal_equations`), and one block in the configuration.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skyscore.baselines.wiener import linear_estimate
from skyscore.likelihoods.gaussian import GaussianLikelihood, Spectrum, compress, from_spectrum
from skyscore.observation import Observation, Panel
from skyscore.statistics.moments import Moments

from .flux import fit_flux_scale

__all__ = ["Problem"]


class Problem:
    """Creates a problem from its observation.

    Arguments:
        observation: as made by `simulate` or `from_data`, perhaps read back from a file.
        device: where the likelihood's tensors live.

    Attributes:
        shape: (C, H, W) of the unknown image.
        pixel_scale: of the unknown image (scale_unit); unit: of `to_physical`; wcs: FITS cards or None.
        look: kind of the panels that show the unknown, "image" or "signed".
        FILES: what `from_data` reads, by role; <key> in a role is the value of that setting, or any name.
        STATED: numbers of an observation, or of samples, that captions state, in words
        (:mod:`skyscore.report.captions`).
    """

    kind: ClassVar[str] = ""
    SETTINGS: ClassVar[dict[str, Any]] = {}
    FILES: ClassVar[dict[str, str]] = {}
    STATED: ClassVar[dict[str, str]] = {}
    shape: tuple[int, int, int]
    pixel_scale: float
    scale_unit: str = "arcsec"
    look: str = "image"
    unit: str
    wcs: dict[str, Any] | None = None

    def __init__(self, observation: Observation, device: str = "cpu"):
        self.observation, self.device = observation, device

    @cached_property
    def likelihood(self) -> GaussianLikelihood:
        """p(y | x) of an image x in prior units, compressed to at most D data.

        By the decomposition that came with the observation where there is one, else by the normal equations.
        """
        scale, kept = self.observation.attrs["flux_scale"], self.kept()
        if kept is not None:
            spectrum = Spectrum(kept.V, scale * kept.s, kept.d)
            return from_spectrum(spectrum.to(torch.float64, self.device), self.shape)
        G, b = self.normal_equations()
        return compress((scale**2 * G).to(self.device), (scale * b).to(self.device), self.shape)

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """A' C^-1 A `(D, D)` and A' C^-1 y `(D,)` in physical units."""
        raise NotImplementedError(
            f"problems of kind {self.kind!r} define neither likelihood nor normal equations"
        )

    # ------------------------------------------------------------------ a decomposition kept in the observation

    @staticmethod
    def keep(observation: Observation, spectrum: Spectrum) -> None:
        """Stores a decomposition of the likelihood in physical units, so that samplers need not make it."""
        observation.arrays |= {
            "singular_vectors": spectrum.V.float().numpy(),
            "singular_values": spectrum.s.numpy(),
            "coefficients": spectrum.d.numpy(),
        }

    def kept(self) -> Spectrum | None:
        """The stored decomposition in float64; None if there is none."""
        names, arrays = ("singular_vectors", "singular_values", "coefficients"), self.observation.arrays
        if names[0] not in arrays:
            return None
        return Spectrum(*(torch.as_tensor(arrays[name]).double() for name in names))

    def to_physical(self, x: Tensor) -> Tensor:
        """Surface brightness in observed units of images x in prior units: flux_scale x + flux_offset."""
        return x * self.observation.attrs.get("flux_scale", 1.0) + self.observation.attrs.get(
            "flux_offset", 0.0
        )

    # ------------------------------------------------------------------ an ensemble of observations

    # Problems that have the attributes `operator` (A in physical units, (B, *shape) -> (B, M)) and `noise` (the law of
    # its M data, with `whiten`, `solve` and `sample`) need no code of their own here.

    def observe(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """New data `(N, M)` of images x `(N, C, H, W)` in prior units, by the same instrument with fresh noise."""
        clean = self.operator(self.to_physical(x.double().cpu())).flatten(1)
        return clean + self.noise.sample(len(x), generator).flatten(1)

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood:
        """p(y | x) of N observations y `(N, M)` at once, in prior units; they share one decomposition."""
        spectrum, zero = self.likelihood.spectrum(), torch.zeros(1, *self.shape, dtype=torch.float64)
        scale = self.observation.attrs.get("flux_scale", 1.0)
        r = y.double().cpu() - self.operator(self.to_physical(zero)).flatten(1)
        back = scale * self.operator.adjoint(self.noise.solve(r).reshape(-1, *self.operator.out_shape))
        V, s = spectrum.V.cpu(), spectrum.s.cpu()
        d = back.flatten(1) @ V / s
        return from_spectrum(Spectrum(V, s, d).to(torch.float64, self.device), self.shape)

    def estimates(self, y: Tensor, draws: np.ndarray) -> np.ndarray:
        """Images `(N, C, H, W)` in prior units from data y `(N, M)` alone, by the moments of draws `(n, C, H, W)`."""
        spectrum = self.likelihood_of(y).spectrum().to(torch.float64, "cpu")
        V, s, d = (part.numpy() for part in (spectrum.V, spectrum.s, spectrum.d))
        found = linear_estimate(V, s, d, draws.reshape(len(draws), -1).astype(float))
        return found.reshape(len(y), *self.shape)

    def chi2(self, x: Tensor, y: Tensor) -> Tensor:
        """r' Sigma^-1 r / M of samples x `(N, n, C, H, W)` of N observations y `(N, M)`, shape `(N, n)`."""
        rows = []
        for samples, data in zip(x.double().cpu(), y.double().cpu(), strict=True):
            r = data - self.operator(self.to_physical(samples)).flatten(1)
            rows.append(self.noise.whiten(r).square().mean(1))
        return torch.stack(rows)

    # ------------------------------------------------------------------ checks and figure

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit of samples x (n, C, H, W) to all data: `chi2_dof` (n,) and further numbers."""
        raise NotImplementedError(f"problems of kind {self.kind!r} define no residuals")

    def curves(self, images: dict[str, np.ndarray]) -> dict[str, Any]:
        """What figures of this problem show besides images and spectra, of reconstructions by name, `(n, H, W)` in
        physical units: content of comparison.json. Nothing by default."""
        return {}

    def panels(self, x: Tensor) -> list[Panel]:
        """What the figure of samples x (n, C, H, W) shows, in order; the first is the data."""
        raise NotImplementedError(f"problems of kind {self.kind!r} define no panels")

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Classical reconstructions by name: images (H, W) in physical units on the frame of the unknown.

        Arguments:
            moments: of the prior, :class:`skyscore.problems.flux.Moments`, for those that use its mean and covariance.
        """
        return {}

    def checked(self, name: str, image: np.ndarray) -> dict[str, float]:
        """How a baseline (H, W) of this name agrees with what was kept aside as a check; {} where nothing was."""
        return {}

    def footprint(self) -> np.ndarray:
        """Pixels (H, W) of the unknown on which reconstructions are compared with the truth; all by default."""
        return np.ones(self.shape[-2:], dtype=bool)

    # ------------------------------------------------------------------ observations

    @classmethod
    def completed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings with the defaults of SETTINGS; what else a block of the configuration has (prior, samplers ...) is
        left out."""

        def complete(given: dict, properties: dict) -> dict:
            out = {}
            for key, node in properties.items():
                value = given.get(key, node.get("default"))
                out[key] = complete(value, node["properties"]) if "properties" in node else value
            return out

        return complete(settings, cls.SETTINGS["properties"])

    @staticmethod
    def fit_flux(observation: Observation, spectrum: Spectrum, moments: Moments) -> None:
        """Sets the flux scale of an observation to that of largest evidence under the prior's moments.

        Arguments:
            spectrum: decomposition of its likelihood in physical units.
        """
        flux = fit_flux_scale(spectrum, moments)
        print(f"flux scale {flux.scale:.4g} +- {flux.error:.2g} per prior unit, texture {flux.texture:.3g}")
        found = {"flux_scale": flux.scale, "flux_scale_error": flux.error}
        observation.attrs |= found
        observation.attrs["numbers"] |= found | {"flux_texture": flux.texture}

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """An observation of one of `images` (n, C, H, W) in prior units, with its truth."""
        raise NotImplementedError(f"problems of kind {cls.kind!r} cannot be simulated")

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments) -> Observation:
        """The observation held by `files` (role: path); `moments` of the prior set the flux scale."""
        raise NotImplementedError(f"problems of kind {cls.kind!r} have no reader of real data")
