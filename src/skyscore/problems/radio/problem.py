r"""Radio interferometry: an image from the visibilities of an array.

.. math:: V = S \, F \, B \, (s \, x) + n, \qquad n \sim N(0, \mathrm{diag}(1 / w))

with B the primary beam, S F the Fourier transform at the baselines (signs and axes:
:mod:`skyscore.operators.interferometry`), s the flux scale, and independent noise of variance 1 / w on the real and on
the imaginary part. Visibilities are not gridded: the likelihood uses the normal equations, :math:`G = A^\top W A` from
the Toeplitz kernel and :math:`b = A^\top W V` from one adjoint transform, so the cost of sampling does not depend on
the number of visibilities. With `cell` > 0, visibilities are first averaged in cells of the uv plane; use this for data
sets that are too large to keep.

Simulated sources are protoplanetary disks while the prior is trained on galaxies: the prior is misspecified on purpose.
The flux scale is fitted to the data by evidence under the prior's moments.

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

__all__ = ["RadioProblem"]

SHOWN = 3000  # baselines drawn in the panel of the uv coverage


class RadioProblem(Problem):
    """The radio problem of this module. Unknown: the sky's flux density per pixel `(1, h, w)`, north up, east left."""

    kind = "radio"
    CAPTION_NUMBERS: ClassVar[dict[str, str]] = {
        "chi2_dof_cells": "chi2 per datum of visibilities averaged in uv cells",
        "closure_(.*)_chi2_dof": "chi2 per closure phase of {} (not self-calibrated)",
        "ring_diameter_microarcsec": "diameter of the ring [micro-arcsec]",
        "profile_ratio": "ratio of the radial profile to the published one, median over radii",
        "profile_correlation_at_beam": "correlation of the two profiles, both times radius squared and at the beam",
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
        """A' W A in physical units, applied to images `(B, 1, h, w)`."""
        return ToeplitzNormal(self.uv, self.weights, self.shape[1:], self.pixel_scale, self.beam)

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        return self.normal.matrix(), self.back_projected(self.data[None])[0]

    def back_projected(self, y: Tensor) -> Tensor:
        """A' W y, `(N, D)`, of data `(N, 2 M)`."""
        return self.operator.adjoint(self.noise.solve(y)).flatten(1)

    def chi2(self, x: Tensor, y: Tensor) -> Tensor:
        """r' W r / 2 M over the real and imaginary parts of all visibilities, `(N, n)`; see :meth:`Problem.chi2`.

        It is computed from the normal equations as y' W y - 2 b' x + x' G x, without a transform for each sample.
        """
        x, y = self.to_physical(x.double().cpu()), y.double().cpu()
        flat, b = x.flatten(2), self.back_projected(y)
        squared = (flat * self.normal(x.flatten(0, 1)).reshape(flat.shape)).sum(2)
        cross = torch.einsum("nkd,nd->nk", flat, b)
        return (self.noise.whiten(y).square().sum(1)[:, None] - 2 * cross + squared) / y.shape[1]

    # ------------------------------------------------------------------ classical images

    @property
    def imaging_weights(self) -> np.ndarray:
        """Briggs weights for the dirty image and for CLEAN, `(M,)`."""
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
        """The dirty image and the restored image of CLEAN, in Jy per pixel.

        Both are divided by the number of pixels in the restoring beam and by the primary beam.
        """
        per_pixel = 1 / (self.clean.beam.pixels(self.pixel_scale) * self.beam.numpy())
        return {"dirty": self.clean.dirty * per_pixel, "clean": self.clean.restored * per_pixel}

    # ------------------------------------------------------------------ checks and figure

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit of samples x (n, 1, h, w) to the visibilities, and comparison of their mean with CLEAN.

        Keys: `chi2_dof` of each sample, over 2 M real data; `chi2_dof_cells`, the same for residual visibilities
        averaged in cells a quarter of 1 / field wide, which leaves fewer data and shows a misfit better;
        `closure_..._chi2_dof` on closure phases supplied with the data; `ring_diameter_microarcsec` if the setting
        `ring` is given; with a published profile the numbers of :class:`skyscore.problems.radio.radial.DiskProfile`.
        With a truth: root mean square errors of the posterior mean, of CLEAN's restored image and of the dirty image,
        over the root mean square of the truth (`rmse`, `rmse_clean`, `rmse_dirty`), and the same with truth and
        posterior mean at the resolution of the restoring beam (`..._at_beam`).
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
        truth = self.truth_image()
        if truth is not None:
            mean = physical[:, 0].mean(0).numpy()
            images = {"": mean, **{f"_{name}": image for name, image in self.baselines().items()}}
            sharp, smooth = truth, beam.smooth(truth, scale)
            for name, image in images.items():
                found[f"rmse{name}"] = relative_rms(image - sharp, sharp)
                at_beam = beam.smooth(image, scale) if not name else image
                found[f"rmse{name}_at_beam"] = relative_rms(at_beam - smooth, smooth)
            found["rms_to_truth"] = self.rms_to_truth(x)
        return found

    def curves(self, images: dict[str, np.ndarray]) -> dict[str, Any]:
        """`profile` (:meth:`skyscore.problems.radio.radial.DiskProfile.content`), if there is a published one."""
        if "profile" not in self.observation.arrays:
            return {}
        disk = disk_of(self.settings, self.observation.arrays["profile"], self.shape[-1])
        return {"profile": disk.content(images, self.clean.beam.major, self.clean.beam.minor)}

    @property
    def closures(self) -> list[str]:
        """Names of the sets of closure phases supplied with the data."""
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

    def panels(self, x: Tensor) -> list[Panel]:
        """Dirty image, uv coverage, CLEAN, residual, truth, posterior mean and standard deviation, and samples."""
        physical = 1e3 * self.to_physical(x.double().cpu())[:, 0]
        mean, scale, unit = physical.mean(0), self.pixel_scale, "mJy / pixel"
        r = (self.data - self.operator(1e-3 * mean[None, None]))[0]
        left = self.back_projected(r[None])[0].reshape(mean.shape) / self.beam / math.sqrt(self.weights.sum())
        step = -(-len(self.uv) // SHOWN)
        points = 1e-3 * np.concatenate((self.uv[::step], -self.uv[::step])).T
        far = np.abs(points).max() > 1e6
        points, length = (1e-6 * points, "gigawavelength") if far else (points, "kilowavelength")
        found = [
            Panel(1e3 * self.clean.dirty, "Dirty image", scale, "mJy / beam", "dirty"),
            Panel(points, "Baselines (u, v)", 0.0, length, "uv", "points"),
            Panel(1e3 * self.baselines()["clean"], "CLEAN", scale, unit, "source"),
            Panel(left.numpy(), "Residual dirty image / sigma", scale, "sigma", "sigma", "signed"),
            Panel(mean.numpy(), "Posterior mean", scale, unit, "source"),
            Panel(physical.std(0).numpy(), "Standard deviation", scale, unit, "spread", "spread"),
        ]
        truth = self.truth_image()
        if truth is not None:
            found.insert(4, Panel(1e3 * truth, "Truth", scale, unit, "source"))
        return found + self.sample_panels(found, physical.numpy(), "source", unit=unit)

    # ------------------------------------------------------------------ observations

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """Simulated visibilities; the flux scale is fitted, as for real data.

        See :func:`skyscore.problems.radio.simulated.simulate_radio`.
        """
        observation = Observation(cls.kind, *simulate_radio(cls.completed(settings), images, seed))
        spectrum = cls(observation).likelihood.spectrum()
        cls.fit_flux(observation, spectrum, moments_of(images), "radio: the simulated visibilities")
        observation.arrays["truth"] = observation.arrays["truth"] / observation.attrs["flux_scale"]
        return observation

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """The visibilities in `files` on a frame with the pixels of the prior.

        See :func:`skyscore.problems.radio.observed.observe_radio`. The flux scale is fitted by evidence under the
        prior's `moments`.

        Raises:
            InputError: for a file without usable visibilities, pixels that alias them, or data without positive flux.
        """
        pixels = math.isqrt(np.asarray(moments.mean).size)
        observation = Observation(cls.kind, *observe_radio(cls.completed(settings), files, pixels))
        spectrum = cls(observation).likelihood.spectrum()
        cls.fit_flux(observation, spectrum, moments, files["visibilities"])
        cls.store_spectrum(observation, spectrum)
        return observation


def relative_rms(error: np.ndarray, reference: np.ndarray) -> float:
    """Root mean square of an error over that of the reference."""
    return float(np.sqrt(np.mean(error**2) / np.mean(reference**2)))
