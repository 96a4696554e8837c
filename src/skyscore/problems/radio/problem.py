r"""Radio interferometry: an image from the visibilities of an array.

.. math:: V = S \, F \, B \, (s \, x) + n, \qquad n \sim N(0, \mathrm{diag}(1 / w))

with B the primary beam, S F the Fourier transform at the baselines (:mod:`skyscore.operators.interferometry`: signs
and axes), s the flux scale, and independent noise of variance 1 / w on the real and on the imaginary part. Nothing is
gridded: the likelihood enters by the normal equations, :math:`G = A^\top W A` from the Toeplitz kernel and
:math:`b = A^\top W V` by one adjoint transform, and no sampler sees how many visibilities there are. With `cell` > 0
visibilities are first averaged in cells of the uv plane, for data sets too large to keep.

Simulated sources are protoplanetary disks while the prior knows galaxies: it is misspecified on purpose. The flux scale
is fitted to the data by the evidence under the prior's moments.

Reference: Dia et al. (2025), arXiv:2501.02473 (IRIS: disks under galaxy priors).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skyscore.baselines.clean import Clean, clean
from skyscore.likelihoods.noise import DiagonalNoise
from skyscore.observation import Observation, Panel
from skyscore.operators.interferometry import Interferometer, primary_beam, to_complex
from skyscore.operators.toeplitz import ToeplitzNormal
from skyscore.operators.uvplane import average_cells, briggs_weights
from skyscore.problems.base import Problem
from skyscore.statistics.moments import Moments, moments_of

from .closure import closure_misfit
from .observed import observe_radio
from .radial import disk_of
from .ring import ring_diameter
from .simulated import cell_of, simulate_radio

__all__ = ["SETTINGS", "RadioProblem"]

# fmt: off
SETTINGS = {
    "type": "object",
    "properties": {
        "field": {"type": "number", "exclusiveMinimum": 0, "default": 3.2, "unit": "arcsec",
            "description": "Side of the frame; its pixels are those of the prior."},
        "cell": {"type": "number", "minimum": 0, "maximum": 0.5, "default": 0.0, "unit": "1/field",
            "description": "Side of the cells in which visibilities are averaged; 0 keeps every one."},
        "frequency": {"type": "number", "exclusiveMinimum": 0, "default": 240.0, "unit": "GHz",
            "description": "Frequency of the observation."},
        "dish": {"type": "number", "exclusiveMinimum": 0, "default": 12.0, "unit": "m",
            "description": "Diameter of an antenna, which sets the primary beam."},
        "robust": {"type": "number", "minimum": -6, "maximum": 6, "default": -0.5,
            "description": "Briggs' parameter of the dirty image and of CLEAN, 2 near natural and -2 near uniform."},
        "clean_gain": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.1,
            "description": "CLEAN: share of a peak that is taken at once."},
        "clean_threshold": {"type": "number", "minimum": 0, "default": 3.0, "unit": "sigma",
            "description": "CLEAN: ends when no residual exceeds this many times their scatter."},
        "clean_iterations": {"type": "integer", "minimum": 1, "default": 5000,
            "description": "CLEAN: components at most."},
        "phase_center": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
            "default": None, "unit": "degree",
            "description": "Real data: right ascension and declination of the phase centre, for FITS files; null: as a "
            "UVFITS file says."},
        "ring": {"type": ["array", "null"], "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2,
            "maxItems": 2, "default": None, "unit": "arcsec",
            "description": "Real data: least and largest radius of a ring whose diameter is measured on each sample."},
        "disk": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "default": None,
            "unit": "degree", "description": "Real data: inclination and position angle (north to east) of a disk "
                "whose radial profile is compared with a published one, the role `profile`."},
        "rings": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "default": [], "unit": "arcsec",
            "description": "Real data: radii near which that disk has rings."},
        "closure_interval": {"type": "number", "exclusiveMinimum": 0, "default": 300.0, "unit": "s",
            "description": "Real data: visibilities are averaged over this long before closure phases are taken."},
        "calibrate_weights": {"type": "boolean", "default": True,
            "description": "Real data: bring weights into agreement with the scatter of neighbours."},
        "source": {"type": "string", "enum": ["disk", "held_out"], "default": "disk",
            "description": "Simulated: a protoplanetary disk, or a held-out image of the prior's data set."},
        "flux": {"type": "number", "exclusiveMinimum": 0, "default": 0.1, "unit": "Jy",
            "description": "Simulated: total flux density of the source."},
        "antennas": {"type": "integer", "minimum": 3, "default": 30,
            "description": "Simulated: antennas of the array."},
        "longest_baseline": {"type": "number", "exclusiveMinimum": 0, "default": 1200.0, "unit": "m",
            "description": "Simulated: longest distance of two antennas."},
        "latitude": {"type": "number", "minimum": -90, "maximum": 90, "default": -23.03, "unit": "degree",
            "description": "Simulated: latitude of the array."},
        "declination": {"type": "number", "minimum": -90, "maximum": 90, "default": -24.0, "unit": "degree",
            "description": "Simulated: declination of the source."},
        "hour_angles": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
            "default": [-1.0, 1.0], "unit": "hour",
            "description": "Simulated: hour angles of the first and the last integration."},
        "integrations": {"type": "integer", "minimum": 1, "default": 12,
            "description": "Simulated: integrations, evenly spread over the hour angles."},
        "integration": {"type": "number", "exclusiveMinimum": 0, "default": 60.0, "unit": "s",
            "description": "Simulated: length of an integration."},
        "bandwidth": {"type": "number", "exclusiveMinimum": 0, "default": 7.5, "unit": "GHz",
            "description": "Simulated: bandwidth of the continuum."},
        "sefd": {"type": "number", "exclusiveMinimum": 0, "default": 3500.0, "unit": "Jy",
            "description": "Simulated: system equivalent flux density of one antenna."},
    },
}
FILES = {
    "visibilities": "UVFITS, or a NumPy archive (.npz) with u, v [wavelengths], V [Jy], weights [1 / Jy^2]",
    "profile": "text, radius [arcsec] and brightness [Jy / sr] a line: a published profile (may be left out; see disk)",
    "closure_<name>": "UVFITS whose closure phases check the image (may be left out, any number of them)",
}
# fmt: on
SHOWN = 3000  # baselines in the picture of the coverage


class RadioProblem(Problem):
    """See the module. Unknown: the sky's flux density per pixel `(1, h, w)`, north up, east left."""

    kind = "radio"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS
    FILES: ClassVar[dict[str, str]] = FILES
    STATED: ClassVar[dict[str, str]] = {
        "chi2_dof_cells": "chi2 per datum of averages of uv cells",
        "closure_(.*)_chi2_dof": "chi2 per closure phase of {}, never self-calibrated,",
        "ring_diameter_microarcsec": "diameter of the ring [micro-arcsec]",
        "profile_ratio": "radial profile over the published one, median over radii",
        "profile_correlation_at_beam": "correlation with it, both times radius squared and at the beam",
        "ring_(.)_arcsec": "radius of ring {} [arcsec]",
        "ring_(.)_published_arcsec": "published radius of ring {} [arcsec]",
    }

    def __init__(self, observation: Observation, device: str = "cpu"):
        super().__init__(observation, device)
        a, arrays = observation.attrs, observation.arrays
        self.settings = a["settings"]
        self.shape = (1, a["pixels"], a["pixels"])
        self.pixel_scale, self.unit, self.wcs = a["pixel_scale"], a["unit"], a.get("wcs")
        self.uv, self.weights = (np.asarray(arrays[name], dtype=np.float64) for name in ("uv", "weights"))
        self.data = torch.as_tensor(np.asarray(arrays["visibilities"], dtype=np.float64))
        self.noise = DiagonalNoise(torch.from_numpy(self.weights).repeat(2).rsqrt())

    # ------------------------------------------------------------------ forward model and likelihood

    @property
    def beam(self) -> Tensor:
        """Primary beam, `(h, w)`."""
        s = self.settings
        return primary_beam(self.shape[1:], self.pixel_scale, s["frequency"], s["dish"])

    @cached_property
    def operator(self) -> Interferometer:
        """The forward model in physical units: `(B, 1, h, w)` in Jy per pixel to `(B, 2 M)` in Jy."""
        return Interferometer(self.uv, self.shape[1:], self.pixel_scale, self.beam, eps=1e-12)

    @cached_property
    def normal(self) -> ToeplitzNormal:
        """A' W A in physical units, on images `(B, 1, h, w)`."""
        return ToeplitzNormal(self.uv, self.weights, self.shape[1:], self.pixel_scale, self.beam)

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        return self.normal.matrix(), self.back_projected(self.data[None])[0]

    def back_projected(self, y: Tensor) -> Tensor:
        """A' W y, `(N, D)`, of data `(N, 2 M)`."""
        return self.operator.adjoint(self.noise.solve(y)).flatten(1)

    def chi2(self, x: Tensor, y: Tensor) -> Tensor:
        """r' W r / 2 M over the real and imaginary parts of all visibilities, `(N, n)`, by the normal equations.

        See :meth:`Problem.chi2`; here y' W y - 2 b' x + x' G x, without a transform for each sample.
        """
        x, y = self.to_physical(x.double().cpu()), y.double().cpu()
        flat, b = x.flatten(2), self.back_projected(y)
        squared = (flat * self.normal(x.flatten(0, 1)).reshape(flat.shape)).sum(2)
        cross = torch.einsum("nkd,nd->nk", flat, b)
        return (self.noise.whiten(y).square().sum(1)[:, None] - 2 * cross + squared) / y.shape[1]

    # ------------------------------------------------------------------ images of the classical kind

    @property
    def imaging_weights(self) -> np.ndarray:
        """Briggs weights of the dirty image and of CLEAN, `(M,)`."""
        return briggs_weights(
            self.uv, self.weights, cell_of(self.settings["field"], 1.0), self.settings["robust"]
        )

    @cached_property
    def clean(self) -> Clean:
        """CLEAN of the data; its images show the sky times the primary beam."""
        s, V = self.settings, to_complex(self.data).numpy()
        options = {name: s[f"clean_{name}"] for name in ("gain", "threshold", "iterations")}
        return clean(V, self.uv, self.imaging_weights, self.shape[1:], self.pixel_scale, **options)

    def baselines(self, moments: Moments | None = None) -> dict[str, np.ndarray]:
        """The dirty image and CLEAN's restored one, per beam over the pixels of the restoring beam, less the primary
        beam: Jy per pixel."""
        per_pixel = 1 / (self.clean.beam.pixels(self.pixel_scale) * self.beam.numpy())
        return {"dirty": self.clean.dirty * per_pixel, "clean": self.clean.restored * per_pixel}

    # ------------------------------------------------------------------ checks and figure

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit of samples x (n, 1, h, w) to the visibilities, and their mean against CLEAN.

        Keys: `chi2_dof`, of each sample, over 2 M real data; `chi2_dof_cells` likewise of the residual visibilities
        averaged in cells a quarter of 1 / field wide, which leaves fewer data and shows a misfit better;
        `closure_..._chi2_dof` on closure phases that came with the data, and `ring_diameter_microarcsec`, where asked
        for; those of :class:`skyscore.problems.radio.radial.DiskProfile`, where there is a profile. With a
        truth:
        root mean squares of the error of the posterior mean, CLEAN's restored image and the dirty image, over the root
        mean square of the truth (`rmse`, `rmse_clean`, `rmse_dirty`), and the same with truth and posterior mean at
        the resolution of the restoring beam (`..._at_beam`).
        """
        physical = self.to_physical(x.double().cpu())
        r = self.data - self.operator(physical)
        cell = cell_of(self.settings["field"], 0.25)
        cells = []
        for V in to_complex(r).numpy():
            _, mean, W = average_cells(self.uv, V, self.weights, cell)
            cells.append(np.sum(W * np.abs(mean) ** 2) / (2 * len(W)))
        beam, scale = self.clean.beam, self.pixel_scale
        found = {
            "chi2_dof": self.noise.whiten(r).square().mean(1).numpy(),
            "chi2_dof_cells": np.array(cells),
            "flux_jy": physical.flatten(1).sum(1).numpy(),
            "beam_major_arcsec": beam.major,
            "beam_minor_arcsec": beam.minor,
            "clean_components": self.clean.iterations,
        }
        if self.settings["ring"] is not None:
            found["ring_diameter_microarcsec"] = np.array(
                [1e6 * ring_diameter(p[0], scale, self.settings["ring"]) for p in physical.numpy()]
            )
        if "profile" in self.observation.arrays:
            found |= disk_of(self.settings, self.observation.arrays["profile"], self.shape[-1]).compared(
                physical[:, 0].numpy(), math.sqrt(beam.major * beam.minor)
            )
        for role in self.closures:
            found[f"{role}_chi2_dof"] = self.closure_misfit(role, physical)
        if "truth" in self.observation.arrays:
            truth, mean = self.truth, physical[:, 0].mean(0).numpy()
            images = {"": mean, **{f"_{name}": image for name, image in self.baselines().items()}}
            sharp, smooth = truth, beam.smooth(truth, scale)
            for name, image in images.items():
                found[f"rmse{name}"] = relative_rms(image - sharp, sharp)
                at_beam = beam.smooth(image, scale) if not name else image
                found[f"rmse{name}_at_beam"] = relative_rms(at_beam - smooth, smooth)
            t = torch.as_tensor(self.observation.arrays["truth"]).double()
            found["rms_to_truth"] = (x.double().cpu() - t).square().flatten(1).mean(1).sqrt().numpy()
        return found

    def curves(self, images: dict[str, np.ndarray]) -> dict[str, Any]:
        """`profile`, where there is a published one
        (:meth:`skyscore.problems.radio.radial.DiskProfile.content`)."""
        if "profile" not in self.observation.arrays:
            return {}
        disk = disk_of(self.settings, self.observation.arrays["profile"], self.shape[-1])
        return {"profile": disk.content(images, self.clean.beam.major, self.clean.beam.minor)}

    @property
    def closures(self) -> list[str]:
        """Sets of closure phases that came with the data."""
        return [name.removesuffix("_phase") for name in self.observation.arrays if name.endswith("_phase")]

    def closure_misfit(self, role: str, physical: Tensor) -> np.ndarray:
        """r' C^-1 r / K of images (n, 1, h, w) in Jy per pixel on one set of closure phases, `(n,)`."""
        uv, phase, covariance = (
            np.asarray(self.observation.arrays[f"{role}_{name}"], dtype=np.float64)
            for name in ("uv", "phase", "covariance")
        )
        A = Interferometer(uv.reshape(-1, 2), self.shape[1:], self.pixel_scale, self.beam, eps=1e-9)
        model = to_complex(A(physical)).numpy().reshape(len(physical), -1, 3)
        return closure_misfit(model, phase, covariance)

    @property
    def truth(self) -> np.ndarray:
        """The simulated sky in physical units, `(h, w)`."""
        return self.to_physical(torch.as_tensor(self.observation.arrays["truth"]).double())[0].numpy()

    def panels(self, x: Tensor) -> list[Panel]:
        physical = 1e3 * self.to_physical(x.double().cpu())[:, 0]
        mean, scale, unit = physical.mean(0), self.pixel_scale, "mJy / pixel"
        r = (self.data - self.operator(1e-3 * mean[None, None]))[0]
        left = self.back_projected(r[None])[0].reshape(mean.shape) / self.beam / math.sqrt(self.weights.sum())
        step = -(-len(self.uv) // SHOWN)
        points = 1e-3 * np.concatenate((self.uv[::step], -self.uv[::step])).T
        far = np.abs(points).max() > 1e6
        points, length = (1e-6 * points, "gigawavelength") if far else (points, "kilowavelength")
        found = [
            Panel(1e3 * self.clean.dirty, "dirty image", scale, "mJy / beam", "dirty"),
            Panel(points, "baselines (u, v)", 0.0, length, "uv", "points"),
            Panel(1e3 * self.baselines()["clean"], "CLEAN", scale, unit, "source"),
            Panel(left.numpy(), "residual dirty image / sigma", scale, "sigma", "sigma", "signed"),
            Panel(mean.numpy(), "posterior mean", scale, unit, "source"),
            Panel(physical.std(0).numpy(), "standard deviation", scale, unit, "spread", "spread"),
        ]
        if "truth" in self.observation.arrays:
            found.insert(4, Panel(1e3 * self.truth, "truth", scale, unit, "source"))
        samples = [Panel(p.numpy(), f"sample {k + 1}", scale, unit, "source") for k, p in enumerate(physical)]
        return found + samples[: 12 - len(found)]

    # ------------------------------------------------------------------ observations

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """See :func:`skyscore.problems.radio.simulated.simulate_radio`; the flux scale is fitted, as for real data."""
        observation = Observation(cls.kind, *simulate_radio(cls.completed(settings), images, seed))
        spectrum = cls(observation).likelihood.spectrum()
        cls.fit_flux(observation, spectrum, moments_of(images))
        observation.arrays["truth"] = observation.arrays["truth"] / observation.attrs["flux_scale"]
        return observation

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """The visibilities in the file of role "visibilities" (:func:`skyscore.problems.radio.observed.observe_radio`)
        on a frame with the pixels of the prior; the flux scale by the evidence under the prior's `moments`.

        Raises:
            InputError: for a file that holds no usable visibilities, or pixels that alias them.
        """
        pixels = math.isqrt(np.asarray(moments.mean).size)
        observation = Observation(cls.kind, *observe_radio(cls.completed(settings), files, pixels))
        spectrum = cls(observation).likelihood.spectrum()
        cls.fit_flux(observation, spectrum, moments)
        cls.keep(observation, spectrum)
        return observation


def relative_rms(error: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square of an error over that of the reference."""
    return float(np.sqrt(np.mean(error**2) / np.mean(reference**2)))
