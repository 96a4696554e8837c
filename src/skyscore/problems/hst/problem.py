r"""Deconvolution: a scene on the pixels of a sharp telescope, reconstructed from exposures of a broad one (HST to
JWST).

.. math:: y_e = R_e\, P\, (s\, x) + \sigma\, n_e, \qquad n_e \sim Q

with P the broad point-spread function, :math:`R_e` the average over the coarse pixels of dithered exposure e, and Q the
law of a detector's noise. Only realisations of this noise are known: it is correlated by resampling, has stripes, and
contains particle hits. The frame of an exposure may be wider than the scene: its rim holds PSF wings and noise, and
shows the stripes.

There are two likelihoods: :attr:`HSTProblem.likelihood` is Gaussian with the measured mean and covariance of the noise,
and :meth:`HSTProblem.score_likelihood` uses the learned noise score. A sharp image of the same truth, with less noise,
is held out as a check; no sampler uses it. For real data (`from_data`) it is the NIRCam image of the same sky.

References: Adam et al. (2023), arXiv:2311.18002 (HST exposures under a learned prior and a learned noise); Legin et
al. (2023), arXiv:2302.03046 (score-based likelihood).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skyscore.baselines.richardson_lucy import richardson_lucy
from skyscore.baselines.wiener import full_covariance, wiener
from skyscore.likelihoods.gaussian import GaussianLikelihood, Spectrum, from_spectrum, modes
from skyscore.likelihoods.score import ScoreLikelihood
from skyscore.observation import Observation, Panel
from skyscore.operators.base import LinearOperator
from skyscore.operators.sampling import exposures
from skyscore.problems.base import Problem
from skyscore.statistics.moments import Moments
from skyscore.statistics.spectra import spectra

from .check import SharpImage
from .check_scores import enlarged
from .noise import MeasuredNoise
from .observed import observe_hst
from .simulated import draw_noise, simulate_hst

__all__ = ["HSTProblem"]

FEWEST = 10  # pixels that a source must have to get its own chi2


class HSTProblem(Problem):
    """The deconvolution problem of this module. Unknown: surface brightness of the scene, `(1, h, w)`."""

    kind = "hst"
    CAPTION_NUMBERS: ClassVar[dict[str, str]] = {
        "chi2_dof_source": "chi2 per datum where the source is brighter than the noise",
        "sky_chi2": "chi2 per datum of blank sky",
        "frame_offset_([xy])_arcsec": "measured offset of the frames in {} [arcsec]",
        "sharp_correlation": "correlation of the posterior mean with the held-out image",
        "sharp_sample_correlation": "correlation of single samples with it",
        "sharp_z2": "mean squared error against it over its expectation",
        "sharp_magnitude": "colour [mag, AB]",
    }

    def __init__(self, observation: Observation, device: str = "cpu"):
        super().__init__(observation, device)
        a = observation.attrs
        self.shape = (1, a["pixels"], a["pixels"])
        self.pixel_scale, self.unit, self.wcs = a["scale"], a["unit"], a.get("wcs")
        self.names = a.get("names", ["HST-like", "JWST-like"])
        arrays = {name: torch.as_tensor(np.ascontiguousarray(v)) for name, v in observation.arrays.items()}
        self.images, self.psf = (arrays[n].double() for n in ("images", "psf"))
        self.std, self.offset = a["noise_std"], a["noise_std"] * a["noise_mean"]
        self.sharp = SharpImage(self, self.names[1]) if "sharp" in arrays else None

    # ------------------------------------------------------------------ forward model

    @cached_property
    def operator(self) -> LinearOperator:
        """The forward model in physical units: `(B, 1, h, w)` to the exposures `(B, E, H, W)`."""
        return self.new_operator()

    def new_operator(self) -> LinearOperator:
        """A new instance of the forward model, see `operator`."""
        a, frame = self.observation.attrs, tuple(self.images.shape[1:])
        return exposures(self.psf, self.shape[1:], a["scale"], frame, a["data_scale"], a["dithers"])

    @cached_property
    def matrix(self) -> Tensor:
        """The forward model as a matrix `(M, D)` in float64, computed by rows if there are fewer rows than columns."""
        A, M = self.operator, self.images.numel()
        few = M < math.prod(self.shape)
        rows = torch.eye(M if few else 0, dtype=torch.float64).reshape(-1, *self.images.shape)
        return torch.cat([A.adjoint(part).flatten(1) for part in rows.split(256)]) if few else A.matrix()

    @cached_property
    def noise(self) -> MeasuredNoise:
        """Measured covariance of the noise, in physical units (the mean of the noise is `offset`)."""
        xi = self.std**2 * torch.as_tensor(self.observation.arrays["xi"]).double()
        return MeasuredNoise(self.offset, xi, len(self.images))

    @property
    def data(self) -> Tensor:
        """y minus the mean of the noise, `(M,)`."""
        return self.images.flatten() - self.offset

    # ------------------------------------------------------------------ likelihoods

    @cached_property
    def likelihood(self) -> GaussianLikelihood:
        scale = self.observation.attrs["flux_scale"]
        W = self.noise.whiten(scale * self.matrix.T).T  # (M, D)
        V, s = modes(W.to(self.device), rtol=1e-8)
        d = V.T @ (W.T @ self.noise.whiten(self.data)).to(self.device) / s
        return from_spectrum(Spectrum(V, s, d), self.shape)

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood:
        return super().likelihood_of(y - self.offset)

    def score_likelihood(self, noise, y: Tensor | None = None, level: float = 0.5) -> ScoreLikelihood:
        """p(y | x) under a learned noise model, for the exposures or for N observations y `(N, M)`.

        Arguments:
            noise: prior of noise images with the frame of an exposure, in units of the core's standard deviation.
            level: noise level at which its score is evaluated, in the same units.

        Raises:
            ValueError: if the noise model has another frame.
        """
        shape = getattr(noise, "shape", None)
        if shape is not None and tuple(shape[1:]) != tuple(self.images.shape[1:]):
            frames = f"{tuple(shape[1:])}, but the exposures have {tuple(self.images.shape[1:])}"
            raise ValueError(f"hst: the noise model has frames of {frames}; use a noise model of that size")
        data = self.images if y is None else y.double().reshape(-1, *self.images.shape)
        return ScoreLikelihood(
            self.new_operator(),  # a separate instance, because it may be moved to a device
            data,
            noise,
            lambda: self.likelihood if y is None else self.likelihood_of(y),
            level,
            flux=self.observation.attrs["flux_scale"],
            std=self.std,
            modes=lambda: self.modes,
        )

    @cached_property
    def modes(self) -> tuple[Tensor, Tensor]:
        """Right singular vectors and singular values of the forward model, in units of the core's standard deviation.

        They are computed once and cached.
        """
        flux = self.observation.attrs["flux_scale"]
        return modes((flux / self.std * self.matrix).to(self.device))

    def observe(self, x: Tensor, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        """New data `(N, M)` of images x `(N, C, H, W)` in prior units.

        Arguments:
            noise: realisations `(n, 1, H, W)`, n at least N times the number of exposures, in units of the core's
                standard deviation, such as draws from a learned noise model; by default the simulator draws new ones.
        """
        E, side = self.images.shape[:2]
        if noise is None:
            seed = int(torch.randint(2**31, (), generator=generator))
            noise = torch.from_numpy(draw_noise(len(x) * E, side, self.observation.attrs["noise"], seed))
        chosen = noise[torch.randperm(len(noise), generator=generator)[: len(x) * E]].double()
        clean = self.operator(self.to_physical(x.double().cpu())).flatten(1)
        return clean + self.std * chosen.reshape(len(x), -1)

    def chi2(self, x: Tensor, y: Tensor) -> Tensor:
        return super().chi2(x, y - self.offset)

    def residual_images(self, x: Tensor, y: Tensor) -> Tensor:
        """y - A x of samples x `(N, n, C, H, W)` of observations y `(N, M)`: realisations of the noise if x is right.

        Shape `(N, n, E, 1, H, W)`, in units of the noise's core standard deviation.
        """
        pairs = zip(x.double().cpu(), y.double().cpu(), strict=True)
        rows = [data - self.operator(self.to_physical(samples)).flatten(1) for samples, data in pairs]
        return (torch.stack(rows) / self.std).unflatten(-1, (len(self.images), 1, *self.images.shape[1:]))

    # ------------------------------------------------------------------ checks and figure

    def checked(self, name: str, image: np.ndarray) -> dict[str, float]:
        """How well a baseline (H, W) predicts the held-out image; the drizzled frame is not convolved again."""
        if self.sharp is None or self.sharp.simulated:
            return {}
        return self.sharp.checked(image, convolved=name == "drizzled")

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit of samples x to the exposures, and comparison with the truth and with the held-out image.

        Keys: `chi2_dof` (n,) under the measured covariance; `chi2_dof_source` on the pixels where the mean is brighter
        than the noise. With a truth: `rms_to_truth`, `rmse`, and `resolved_k`, the spatial frequency (cycles per
        arcsec) up to which the posterior mean's correlation with the truth stays above 0.5. Against the held-out image,
        which the samples never used: `sharp_correlation` of the posterior mean and `sharp_chi2_dof` (n,) of the
        samples.

        For real data the comparison allows for one factor, see :mod:`skyscore.problems.hst.check_scores`; `sharp_z2` is
        the mean squared error of the posterior mean over noise plus posterior variance (1 if the samples have the right
        width).
        """
        x, y = x.double().cpu(), self.images.flatten()[None]
        found: dict[str, Any] = {"chi2_dof": self.chi2(x[None], y)[0].numpy(), "pixels": y.numel()}
        model = self.operator(self.to_physical(x)).flatten(1)
        source = model.mean(0) > self.std
        if source.sum() >= FEWEST:
            white = self.noise.whiten(y - self.offset - model)
            found["chi2_dof_source"] = white[:, source].square().mean(1).numpy()
            found["source_pixels"] = int(source.sum())
        if self.sharp is not None:
            found |= self.sharp.numbers(x)
        if "truth" in self.observation.arrays:
            truth, mean = torch.as_tensor(self.observation.arrays["truth"]).double(), x.mean(0)
            found["rms_to_truth"] = self.rms_to_truth(x)
            found["rmse"] = float((mean - truth).square().mean().sqrt())
            curve = spectra(mean.numpy(), truth[0].numpy(), self.pixel_scale)
            lost = np.flatnonzero(curve["correlation"][0] < 0.5)
            found["resolved_k"] = float(curve["k"][lost[0] if len(lost) else -1])
        return found

    def panels(self, x: Tensor) -> list[Panel]:
        """First exposure, residual, posterior mean and standard deviation, held-out image, truth and samples."""
        a, arrays = self.observation.attrs, self.observation.arrays
        scale, unit, coarse = self.pixel_scale, self.unit, a["data_scale"]
        x = x.double().cpu()
        scene = self.to_physical(x)[:, 0].numpy()
        model = self.operator(self.to_physical(x)).mean(0).numpy()
        residual = (arrays["images"][0] - model[0] - self.offset) / self.std
        panels = [
            Panel(arrays["images"][0], f"{self.names[0]} exposure", coarse, unit, "data"),
            Panel(residual, "Residual / core sigma", coarse, "sigma", "residual", "signed"),
            Panel(scene.mean(0), "Posterior mean", scale, unit, "scene"),
            Panel(scene.std(0), "Standard deviation", scale, unit, "spread", "spread"),
        ]
        if self.sharp is not None:
            panels += self.sharp.panels(x)
        truth = self.truth_image()
        if truth is not None:
            panels.insert(2, Panel(truth, "Truth", scale, unit, "scene"))
        return panels + self.sample_panels(panels, scene, "scene")

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Richardson-Lucy; with `moments` of the prior also the Wiener filter under the measured covariance.

        For real data also `drizzled`: the frame itself, interpolated to the scene's pixels.
        """
        y = self.data.reshape(1, *self.images.shape)
        numbers = self.observation.attrs["numbers"]
        # standard deviation of the sky noise, without the factor `inflate`
        total = numbers.get("sky_std", self.std) * float(numbers["noise_variance"]) ** 0.5
        at_most = self.observation.attrs["settings"]["rl_iterations"]
        found = {"richardson-lucy": richardson_lucy(self.operator, y, total, at_most)[0][0, 0].numpy()}
        if moments is not None:
            mean = torch.as_tensor(np.asarray(moments.mean)).double().flatten()
            image = wiener(self.likelihood.spectrum(), mean, full_covariance(moments))
            found["wiener"] = self.to_physical(image.reshape(self.shape))[0].numpy()
        if "truth" not in self.observation.arrays:
            a = self.observation.attrs
            found["drizzled"] = enlarged(y[0, 0].numpy(), a["data_scale"], a["pixels"], a["scale"])
        return found

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """Simulated exposures; see :func:`skyscore.problems.hst.simulated.simulate_hst`.

        `settings["noise"]` holds the settings of the noise simulator.
        """
        return Observation(cls.kind, *simulate_hst(cls.completed(settings), images, seed))

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """The scene in `files`; the flux scale is fitted by evidence under the prior's `moments`.

        See :func:`skyscore.problems.hst.observed.observe_hst`, also for errors.
        """
        pixels = math.isqrt(np.asarray(moments.mean).size)
        observation = Observation(cls.kind, *observe_hst(cls.completed(settings), files, pixels))
        band = files[observation.attrs["settings"]["band"]]
        cls.fit_flux(observation, cls(observation).likelihood.spectrum(), moments, band)
        return observation

    @classmethod
    def completed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Complete settings, including those of the noise, which come from the noise data set."""
        return super().completed(settings) | {"noise": settings.get("noise") or {}}
