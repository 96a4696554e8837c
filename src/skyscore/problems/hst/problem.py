r"""Deconvolution: a scene at the pixels of a sharp telescope, from exposures of a broad one (HST to JWST).

.. math:: y_e = R_e\, P\, (s\, x) + \sigma\, n_e, \qquad n_e \sim Q

with P the broad point-spread function, :math:`R_e` the average over coarse pixels of dithered exposure e, and Q the
law of a detector's noise, of which only realisations are known: correlated by resampling, striped, hit by particles.
The frame of an exposure may be wider than the scene: its rim holds wings and noise, and the stripes show there.

Two likelihoods: :attr:`HSTProblem.likelihood` is Gaussian with the measured mean and covariance of the noise, and
:meth:`HSTProblem.score_likelihood` has the learned noise score. A sharp image of the same truth, with less noise, is
kept aside as the check; no sampler sees it. Of real data (`from_data`) that is the NIRCam image of the same sky.

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

__all__ = ["SETTINGS", "HSTProblem"]

# fmt: off
SETTINGS = {
    "type": "object",
    "properties": {
        "scale": {"type": "number", "exclusiveMinimum": 0, "default": 0.03, "unit": "arcsec/pixel",
            "description": "Pixel of the scene (NIRCam's short-wavelength channel has 0.031)."},
        "data_scale": {"type": "number", "exclusiveMinimum": 0, "default": 0.06, "unit": "arcsec/pixel",
            "description": "Pixel of the exposures (WFC3/IR images are often drizzled to 0.06)."},
        "frame_pixels": {"type": "integer", "minimum": 0, "default": 0, "unit": "pixel",
            "description": "Side of an exposure; 0 takes as many pixels as the scene has, over a wider frame."},
        "dithers": {"type": "array", "minItems": 1, "default": [[0.0, 0.0]],
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "unit": "data pixel", "description": "Offset (y, x) of the middle of each exposure."},
        "psf_fwhm": {"type": "number", "exclusiveMinimum": 0, "default": 0.16, "unit": "arcsec",
            "description": "Full width at half maximum of the broad point-spread function (WFC3/IR F160W: 0.15)."},
        "sharp_fwhm": {"type": "number", "exclusiveMinimum": 0, "default": 0.05, "unit": "arcsec",
            "description": "That of the sharp one, of the check image (NIRCam F150W: 0.05)."},
        "psf_beta": {"type": "number", "exclusiveMinimum": 1, "default": 3.0,
            "description": "Wings of both fall as r^(-2 beta) (Moffat)."},
        "snr": {"type": "number", "exclusiveMinimum": 0, "default": 15.0,
            "description": "Brightest data pixel of a median scene / standard deviation of the noise's Gaussian core."},
        "sharp_depth": {"type": "number", "exclusiveMinimum": 0, "default": 5.0,
            "description": "By how much the noise of the check image is lower."},
        "rl_iterations": {"type": "integer", "minimum": 1, "default": 30,
            "description": "Richardson-Lucy iterations at most (it stops before where the residuals reach the noise)."},
        "band": {"type": "string", "default": "f160w",
            "description": "Real data: role of the broad telescope's frame, beside <band>_psf and <band>_weight."},
        "check": {"type": "string", "default": "f150w",
            "description": "Real data: role of the sharp telescope's image that no sampler sees."},
        "position": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2, "default": [0.0, 0.0],
            "unit": "degree", "description": "Real data: right ascension and declination of the middle of the scene."},
        "centred": {"type": "boolean", "default": False,
            "description": "Real data: both frames are cut-outs with north up and `position` in their middle, whatever "
                "their headers say."},
        "check_offset": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
            "default": None, "unit": "arcsec",
            "description": "Real data, centred: where `position` is in the check's frame, off its middle (x, y); null "
                "measures it, by what both frames show around the object."},
        "hole": {"type": "number", "minimum": 0, "default": 0.0, "unit": "arcsec",
            "description": "Real data: radius around the middle that the comparison with the check leaves out, such as "
                "a lens of another colour than its arcs."},
        "inflate": {"type": "number", "minimum": 1, "default": 1.0,
            "description": "Real data: factor on the noise of the sky, for objects whose photon noise and PSF errors "
                "exceed it."},
        "psf_form": {"type": "string", "enum": ["shipped", "moffat"], "default": "shipped",
            "description": "Real data: the broad PSF is the file's, or a Moffat profile (psf_beta); of psf_fwhm both."},
        "psf_scales": {"type": "array", "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2,
            "maxItems": 2, "default": [0.06, 0.03], "unit": "arcsec/pixel",
            "description": "Real data: pixels of the PSFs as shipped; they are brought to psf_fwhm and sharp_fwhm."},
    },
}
FILES = {
    "<band>": "FITS image of the broad telescope, with a WCS (or `centred`); `band` names the role",
    "<band>_psf": "FITS image, odd sides; not needed for a Moffat profile (psf_form)",
    "<band>_weight": "FITS image, 0 at bad pixels (may be left out)",
    "<check>": "FITS image of the sharp telescope, likewise, that no sampler sees (may be left out)",
    "<check>_psf": "its point-spread function",
    "<check>_weight": "FITS image, 0 at bad pixels (may be left out)",
}
# fmt: on
FEWEST = 10  # pixels that a source has, or it has no chi2 of its own


class HSTProblem(Problem):
    """See the module. Unknown: surface brightness of the scene, `(1, h, w)`."""

    kind = "hst"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS
    FILES: ClassVar[dict[str, str]] = FILES
    STATED: ClassVar[dict[str, str]] = {
        "chi2_dof_source": "chi2 per datum where the source is brighter than the noise",
        "sky_chi2": "chi2 per datum of blank sky",
        "frame_offset_([xy])_arcsec": "measured offset of the frames in {} [arcsec]",
        "sharp_correlation": "correlation of the mean with the unseen image",
        "sharp_sample_correlation": "of single samples",
        "sharp_z2": "mean squared error over its expectation there",
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
        a, frame = self.observation.attrs, tuple(self.images.shape[1:])
        return exposures(self.psf, self.shape[1:], a["scale"], frame, a["data_scale"], a["dithers"])

    @cached_property
    def matrix(self) -> Tensor:
        """The forward model as a matrix `(M, D)` in float64, by rows where these are fewer."""
        A, M = self.operator, self.images.numel()
        few = M < math.prod(self.shape)
        rows = torch.eye(M if few else 0, dtype=torch.float64).reshape(-1, *self.images.shape)
        return torch.cat([A.adjoint(part).flatten(1) for part in rows.split(256)]) if few else A.matrix()

    @cached_property
    def noise(self) -> MeasuredNoise:
        """Measured covariance of the noise, in physical units (its mean is `offset`)."""
        xi = self.std**2 * torch.as_tensor(self.observation.arrays["xi"]).double()
        return MeasuredNoise(self.offset, xi, len(self.images))

    @property
    def data(self) -> Tensor:
        """y less the mean of the noise, `(M,)`."""
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
        """p(y | x) by a learned noise model, of the exposures, or of N observations y `(N, M)`.

        Arguments:
            noise: prior of noise images with the frame of an exposure, in units of the core's deviation.
            level: at which its score is used, in the same units.

        Raises:
            ValueError: if the noise model has another frame.
        """
        shape = getattr(noise, "shape", None)
        if shape is not None and tuple(shape[1:]) != tuple(self.images.shape[1:]):
            frames = f"{tuple(shape[1:])}, the exposures {tuple(self.images.shape[1:])}"
            raise ValueError(f"hst: the noise model has frames {frames}")
        data = self.images if y is None else y.double().reshape(-1, *self.images.shape)
        return ScoreLikelihood(
            self.new_operator(),  # of its own: it may go to a device
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
        """Right singular vectors and singular values of the exposures in units of the core's deviation; made once."""
        flux = self.observation.attrs["flux_scale"]
        return modes((flux / self.std * self.matrix).to(self.device))

    def observe(self, x: Tensor, generator: torch.Generator, noise: Tensor | None = None) -> Tensor:
        """New data `(N, M)` of images x `(N, C, H, W)` in prior units.

        Arguments:
            noise: realisations `(n, 1, H, W)`, n at least N times the exposures, in units of the core's deviation, such
                as draws from a learned model of the noise; by default the simulator makes new ones.
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
        """y - A x of samples x `(N, n, C, H, W)` of observations y `(N, M)`: realisations of the noise, if x is right.

        Shape `(N, n, E, 1, H, W)`, in units of the noise's core.
        """
        pairs = zip(x.double().cpu(), y.double().cpu(), strict=True)
        rows = [data - self.operator(self.to_physical(samples)).flatten(1) for samples, data in pairs]
        return (torch.stack(rows) / self.std).unflatten(-1, (len(self.images), 1, *self.images.shape[1:]))

    # ------------------------------------------------------------------ checks and figure

    def checked(self, name: str, image: np.ndarray) -> dict[str, float]:
        """How a baseline (H, W) predicts the check image; the drizzled frame is compared as it is."""
        if self.sharp is None or self.sharp.simulated:
            return {}
        return self.sharp.checked(image, convolved=name == "drizzled")

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """`chi2_dof` (n,) under the measured covariance, and `chi2_dof_source` on the pixels where the mean is brighter
        than the noise; with a truth, distances to it; and to the check image:
        `sharp_correlation` of the posterior mean, and `sharp_chi2_dof` (n,) of the samples, which never saw it.

        `resolved_k`: cycles per arcsec up to which the posterior mean's correlation with the truth stays above 0.5.

        Of real data the comparison is up to a factor, see :mod:`skyscore.problems.hst.check_scores`; `sharp_z2` is
        the mean square error of the posterior mean over noise and posterior variance (1 if samples err as they say).
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
            found["rms_to_truth"] = (x - truth).square().flatten(1).mean(1).sqrt().numpy()
            found["rmse"] = float((mean - truth).square().mean().sqrt())
            curve = spectra(mean.numpy(), truth[0].numpy(), self.pixel_scale)
            lost = np.flatnonzero(curve["correlation"][0] < 0.5)
            found["resolved_k"] = float(curve["k"][lost[0] if len(lost) else -1])
        return found

    def panels(self, x: Tensor) -> list[Panel]:
        a, arrays = self.observation.attrs, self.observation.arrays
        scale, unit, coarse = self.pixel_scale, self.unit, a["data_scale"]
        x = x.double().cpu()
        scene = self.to_physical(x)[:, 0].numpy()
        model = self.operator(self.to_physical(x)).mean(0).numpy()
        residual = (arrays["images"][0] - model[0] - self.offset) / self.std
        panels = [
            Panel(arrays["images"][0], f"{self.names[0]} exposure", coarse, unit, "data"),
            Panel(residual, "residual / core sigma", coarse, "sigma", "residual", "signed"),
            Panel(scene.mean(0), "posterior mean", scale, unit, "scene"),
            Panel(scene.std(0), "standard deviation", scale, unit, "spread", "spread"),
        ]
        if self.sharp is not None:
            panels += self.sharp.panels(x)
        if "truth" in arrays:
            truth = self.to_physical(torch.as_tensor(arrays["truth"]).double())[0].numpy()
            panels.insert(2, Panel(truth, "truth", scale, unit, "scene"))
        samples = [
            Panel(image, f"sample {k + 1}", scale, unit, "scene") for k, image in enumerate(scene[:12])
        ]
        return panels + samples[: 12 - len(panels)]

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Richardson-Lucy; with `moments` of the prior the Wiener filter under the measured covariance; of real data
        also the frame itself, interpolated to the scene's pixels (`drizzled`).
        """
        y = self.data.reshape(1, *self.images.shape)
        numbers = self.observation.attrs["numbers"]
        # of the noise of the sky, however `inflate` is set
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
        """See :func:`skyscore.problems.hst.simulated.simulate_hst`; `settings["noise"]` are the noise simulator's."""
        return Observation(cls.kind, *simulate_hst(cls.completed(settings), images, seed))

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """See :func:`skyscore.problems.hst.observed.observe_hst`; flux scale by evidence under the prior's
        `moments`."""
        pixels = math.isqrt(np.asarray(moments.mean).size)
        observation = Observation(cls.kind, *observe_hst(cls.completed(settings), files, pixels))
        cls.fit_flux(observation, cls(observation).likelihood.spectrum(), moments)
        return observation

    @classmethod
    def completed(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """With the settings of the noise, which are those of its data set."""
        return super().completed(settings) | {"noise": settings.get("noise") or {}}
