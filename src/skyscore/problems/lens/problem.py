r"""Strong lensing: the galaxy behind a lens, from its arcs.

.. math:: y = P\, L_\theta\, (s\, x) + \sum_k a_k\, \ell_k + n, \qquad n \sim N(0, \Sigma), \quad a \sim N(a_0, \Lambda)

with :math:`L_\theta` the ray tracing through a fixed lens, P the point-spread function and the mask, s the flux scale,
:math:`\ell_k` the images of the lens galaxy's light of unit amplitude. The light amplitudes are integrated out: with
:math:`U = \Sigma^{-1/2} \ell`, every :math:`W = \Sigma^{-1/2} A` loses what U can absorb,

.. math:: A^\top C^{-1} A = W^\top W - W^\top U (\Lambda^{-1} + U^\top U)^{-1} U^\top W, \qquad
    C = \Sigma + \ell \Lambda \ell^\top

so that a sampler sees the source alone, and the uncertainty of the foreground is in its samples. Lens mass and the
shape of the light are held at their fit (:mod:`skyscore.problems.lens.model`).

References: Warren & Dye (2003), astro-ph/0302587 (linear source); Adam et al. (2022), arXiv:2211.03812 (score prior).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from skyscore.baselines.curvature import invert
from skyscore.baselines.sersic import fit_sersic
from skyscore.likelihoods.gaussian import Spectrum, compress
from skyscore.likelihoods.noise import CorrelatedNoise, DiagonalNoise
from skyscore.observation import Observation, Panel
from skyscore.operators.base import LinearOperator
from skyscore.operators.lensing import lens_operator
from skyscore.problems.base import Problem
from skyscore.statistics.moments import Moments

from .observed import observe_lens
from .simulated import simulate_lens

__all__ = ["SETTINGS", "LensProblem"]

# fmt: off
SETTINGS = {
    "type": "object",
    "properties": {
        "source_width": {"type": "number", "exclusiveMinimum": 0, "default": 2.4, "unit": "arcsec",
            "description": "Side of the source frame; its pixels are those of the prior."},
        "annulus": {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2,
            "default": [0.4, 2.7], "unit": "arcsec",
            "description": "Inner and outer radius around the lens between which pixels are data."},
        "subpixels": {"type": "integer", "minimum": 1, "default": 4,
            "description": "Rays per side of an image pixel (Gauss-Legendre)."},
        "image_pixels": {"type": "integer", "minimum": 8, "default": 64, "unit": "pixel",
            "description": "Simulated: side of the image."},
        "image_scale": {"type": "number", "exclusiveMinimum": 0, "default": 0.09, "unit": "arcsec/pixel",
            "description": "Simulated: pixel of the image."},
        "psf_fwhm": {"type": "number", "exclusiveMinimum": 0, "default": 0.15, "unit": "arcsec",
            "description": "Simulated: full width at half maximum of the Gaussian point-spread function."},
        "snr": {"type": "number", "exclusiveMinimum": 0, "default": 30.0,
            "description": "Simulated: brightest pixel of the noiseless arcs / standard deviation of the noise."},
        "correlation": {"type": "number", "minimum": 0, "maximum": 0.45, "default": 0.0,
            "description": "Simulated: weight of the side neighbours in the kernel that makes the noise correlated."},
        "lens": {"type": "object", "additionalProperties": False, "default": {},
            "description": "Simulated: the lens.",
            "properties": {
                "theta_E": {"type": "number", "exclusiveMinimum": 0, "default": 1.5, "unit": "arcsec",
                    "description": "Einstein radius on the intermediate axis."},
                "q": {"type": "number", "exclusiveMinimum": 0, "maximum": 1, "default": 0.75,
                    "description": "Axis ratio of the mass."},
                "phi": {"type": "number", "default": 1.2, "unit": "radian",
                    "description": "Position angle of the major axis, from +x to +y."},
                "x0": {"type": "number", "default": 0.0, "unit": "arcsec", "description": "Centre."},
                "y0": {"type": "number", "default": 0.0, "unit": "arcsec", "description": "Centre."},
                "t": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 2, "default": 1.0,
                    "description": "Slope of the surface density; 1 is isothermal."},
                "gamma_1": {"type": "number", "default": 0.03, "description": "External shear."},
                "gamma_2": {"type": "number", "default": -0.02, "description": "External shear."},
            }},
        "source_center": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
            "default": [0.1, 0.05], "unit": "arcsec",
            "description": "Simulated: x, y of the middle of the source frame."},
        "pixel_scale": {"type": "number", "exclusiveMinimum": 0, "default": 0.03, "unit": "arcsec/pixel",
            "description": "Real data: pixel of the image."},
        "unit": {"type": "string", "default": "electron / (s pix)",
            "description": "Real data: unit of the image, where its header has no BUNIT."},
        "sky_radius": {"type": "number", "exclusiveMinimum": 0, "default": 3.0, "unit": "arcsec",
            "description": "Real data: the noise is measured outside this radius."},
        "fit_radius": {"type": "number", "exclusiveMinimum": 0, "default": 3.0, "unit": "arcsec",
            "description": "Real data: the lens is fitted to pixels inside this radius."},
        "sky_center": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
            "default": None, "unit": "degree",
            "description": "Real data: right ascension and declination of the middle of the image, for FITS files; "
            "used where the image's orientation is known. null: as the image's header says, if it does."},
        "redshifts": {"type": ["array", "null"], "items": {"type": "number", "exclusiveMinimum": 0}, "minItems": 2,
            "maxItems": 2, "default": None,
            "description": "Real data: redshifts of the lens and of the source, for lengths in kpc."},
        "published_einstein_radius": {"type": ["number", "null"], "exclusiveMinimum": 0, "default": None,
            "unit": "arcsec", "description": "Real data: a published value, for comparison only."},
        "slope": {"type": "string", "enum": ["free", "isothermal"], "default": "free",
            "description": "Real data: whether the slope of the mass is fitted."},
        "starts": {"type": "integer", "minimum": 1, "default": 4,
            "description": "Real data: position angles from which the fit of the mass starts."},
    },
}
FILES = {
    "image": "FITS image, odd sides, the lens on its middle pixel; or an HDF5 cut-out, see docs/lens.md",
    "noise_map": "FITS image: standard deviation of each pixel, photon noise included (not with a cut-out)",
    "psf": "FITS image, odd sides, on the pixels of the image",
    "mask": "FITS image, not 0 where there are no data (may be left out)",
}
# fmt: on


class LensProblem(Problem):
    """See the module. Unknown: the source's surface brightness `(1, h, w)` on the source frame."""

    kind = "lens"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS
    FILES: ClassVar[dict[str, str]] = FILES
    STATED: ClassVar[dict[str, str]] = {
        "chi2_dof_bright_arcs": "chi2 per datum on the bright arcs",
        "chi2_dof_shipped_noise": "chi2 per datum under the noise map that came with the data",
        "einstein_radius_arcsec": "Einstein radius [arcsec]",
        "einstein_radius_over_published": "over the published one",
    }

    def __init__(self, observation: Observation, device: str = "cpu"):
        super().__init__(observation, device)
        a = observation.attrs
        self.shape = (1, a["source_pixels"], a["source_pixels"])
        self.pixel_scale, self.unit, self.wcs = a["source_scale"], a["unit"], a.get("wcs")
        arrays = {name: torch.as_tensor(np.ascontiguousarray(v)) for name, v in observation.arrays.items()}
        self.image, self.std, self.psf = (arrays[n].double() for n in ("image", "std", "psf"))
        self.keep = arrays["keep"].bool()
        self.shipped = arrays["shipped_std"].double() if "shipped_std" in arrays else None
        self.rho = arrays["rho"].double() if "rho" in arrays else None
        self.light = arrays["light_basis"].double() if "light_basis" in arrays else None
        self.light_mean = arrays["light_mean"].double() if self.light is not None else None
        self.light_sd = arrays["light_sd"].double() if self.light is not None else None

    # ------------------------------------------------------------------ forward model

    @cached_property
    def operator(self) -> LinearOperator:
        """The forward model in physical units: `(B, 1, h, w)` to the unmasked pixels `(B, M)`."""
        a = self.observation.attrs
        return lens_operator(
            a["lens"],
            tuple(self.image.shape),
            a["image_scale"],
            self.shape[1:],
            a["source_scale"],
            tuple(a["source_center"]),
            self.psf,
            self.keep,
            a["subpixels"],
        )

    @cached_property
    def noise(self) -> CorrelatedNoise | DiagonalNoise:
        """Sigma on the unmasked pixels."""
        if self.rho is None:
            return DiagonalNoise(self.std[self.keep])
        return CorrelatedNoise(self.std, self.rho, self.keep)

    @property
    def data(self) -> Tensor:
        """y less the mean lens light, on the unmasked pixels `(M,)`."""
        y = self.image[self.keep]
        return y if self.light is None else y - self.light_columns @ self.light_mean

    @property
    def light_columns(self) -> Tensor:
        """Images of the light components on the unmasked pixels, `(M, K)`."""
        return self.light[:, self.keep].T

    # ------------------------------------------------------------------ likelihood

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """See :meth:`Problem.normal_equations`; light amplitudes are integrated out."""
        D, K = math.prod(self.shape), 0 if self.light is None else len(self.light_mean)
        A = torch.empty(int(self.keep.sum()), D + K, dtype=torch.float64)
        self.operator.matrix(out=A[:, :D])
        if self.light is not None:
            A[:, D:] = self.light_columns
        G, b, _ = self.noise.gram(A, self.data)
        del A
        if self.light is not None:
            inner = G[D:, D:] + torch.diag(self.light_sd**-2)
            gain = torch.linalg.solve(inner, G[D:, :D])  # (K, D)
            b = b[:D] - gain.T @ b[D:]
            G = G[:D, :D] - G[:D, D:] @ gain
        return (G + G.T) / 2, b

    def baselines(self, moments: Moments | None = None) -> dict[str, np.ndarray]:
        """The curvature-regularised linear inversion and a single Sersic source, both without a learned prior."""
        V, s, d = (t.double().cpu() for t in vars(self.likelihood.spectrum()).values())
        s = s / self.observation.attrs["flux_scale"]
        inversion = invert((V * s**2) @ V.T, V @ (s * d), self.shape[1:])
        return {
            "curvature": inversion.image,
            "sersic": fit_sersic(Spectrum(V, s, d), self.shape[1:]).image,
        }

    # ------------------------------------------------------------------ checks and figure

    def light_given(self, residual: Tensor, generator: torch.Generator) -> Tensor:
        """A draw of the light amplitudes' deviation from their mean, `(n, K)`, given y - A x - mean light, `(n, M)`."""
        U = self.noise.whiten(self.light_columns.T.contiguous())  # (K, M)
        L = torch.linalg.cholesky(U @ U.T + torch.diag(self.light_sd**-2))
        mean = torch.cholesky_solve(U @ self.noise.whiten(residual).T, L)
        z = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        return (mean + torch.linalg.solve_triangular(L.T, z, upper=True)).T

    def model(self, x: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Lensed source `(n, M)` and lens light `(n, M)` of samples x in prior units; the amplitudes of the light are
        drawn given each sample, so that (source, light) is a draw from their joint posterior."""
        arcs = self.operator(self.to_physical(x.double().cpu()))
        if self.light is None:
            return arcs, torch.zeros_like(arcs)
        delta = self.light_given(self.data - arcs, torch.Generator().manual_seed(seed))
        return arcs, (self.light_mean + delta) @ self.light_columns.T

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """r' Sigma^-1 r / M of each sample, r = y - source - light (light drawn given the sample), M unmasked pixels.

        Keys: `chi2_dof` under the frozen noise law; `chi2_dof_shipped_noise` under the noise map as it was shipped;
        `chi2_dof_diagonal` under the frozen standard deviations without their correlation; `chi2_dof_bright_arcs` under
        the frozen law on the pixels where the arcs exceed three standard deviations.
        """
        arcs, light = self.model(x)
        r = self.image[self.keep] - arcs - light
        found = {
            "chi2_dof": self.noise.whiten(r).square().mean(1).numpy(),
            "unmasked_pixels": int(self.keep.sum()),
        }
        found["chi2_dof_diagonal"] = (r / self.std[self.keep]).square().mean(1).numpy()
        if self.shipped is not None:
            found["chi2_dof_shipped_noise"] = (r / self.shipped[self.keep]).square().mean(1).numpy()
        bright = arcs.mean(0) > 3 * self.std[self.keep]
        if bright.any() and self.rho is not None:
            only = self.keep.clone()
            only[self.keep] = bright
            law = CorrelatedNoise(self.std, self.rho, only)
            found["chi2_dof_bright_arcs"] = law.whiten(r[:, bright]).square().mean(1).numpy()
            found["bright_arc_pixels"] = int(bright.sum())
        if "truth" in self.observation.arrays:
            truth = torch.as_tensor(self.observation.arrays["truth"]).double()
            found["rms_to_truth"] = (x.double().cpu() - truth).square().flatten(1).mean(1).sqrt().numpy()
        return found

    def panels(self, x: Tensor) -> list[Panel]:
        a, physical = self.observation.attrs, self.to_physical(x.double().cpu())
        arcs, light = self.model(x)
        y, mean = self.image[self.keep], (arcs + light).mean(0)
        image_scale, scale, unit = a["image_scale"], a["source_scale"], self.unit

        def image(values: Tensor) -> np.ndarray:
            frame = np.full(self.keep.shape, np.nan)
            frame[self.keep] = values
            return frame

        panels = [
            Panel(image(arcs.mean(0)), "model: posterior mean", image_scale, unit, "arcs"),
            Panel(
                image((y - mean) / self.std[self.keep]),
                "residual / sigma",
                image_scale,
                "sigma",
                "sigma",
                "signed",
            ),
            Panel(physical[:, 0].mean(0).numpy(), "source: posterior mean", scale, unit, "source"),
            Panel(
                physical[:, 0].std(0).numpy(), "source: standard deviation", scale, unit, "spread", "spread"
            ),
        ]
        if self.light is None:
            panels.insert(0, Panel(image(y), "observation", image_scale, unit, "arcs"))
        else:
            subtracted = Panel(image(y - light.mean(0)), "lens light subtracted", image_scale, unit, "arcs")
            clipped = np.minimum(self.image.numpy(), 1.5 * float(arcs.max()))  # the core would hide the arcs
            whole = Panel(clipped, "observation, core clipped", image_scale, unit, "observation")
            panels = [whole, subtracted, *panels]
        if "truth" in self.observation.arrays:
            truth = self.to_physical(torch.as_tensor(self.observation.arrays["truth"]).double())[0].numpy()
            panels.insert(3, Panel(truth, "source: truth", scale, unit, "source"))
        samples = [
            Panel(p[0].numpy(), f"source: sample {k + 1}", scale, unit, "source")
            for k, p in enumerate(physical)
        ]
        return panels + samples[: 12 - len(panels)]

    # ------------------------------------------------------------------ observations

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """See :func:`skyscore.problems.lens.simulated.simulate_lens`."""
        return Observation(cls.kind, *simulate_lens(cls.completed(settings), images, seed))

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """The lens in `files` (role: path), see :func:`skyscore.problems.lens.files.read_imaging`.

        Measures the noise on the sky, fits the lens (:func:`skyscore.problems.lens.observed.observe_lens`), builds the
        likelihood of the source on a frame with the pixels of the prior, decomposes it (kept, so that samplers need
        not), and fits the flux scale by the evidence under the prior's `moments`.

        Raises:
            InputError: for files that are no images, do not fit together, or hold unusable pixels.
        """
        pixels = math.isqrt(np.asarray(moments.mean).size)
        observation = Observation(cls.kind, *observe_lens(cls.completed(settings), files, pixels))
        problem = cls(observation)
        spectrum = compress(*problem.normal_equations(), problem.shape).spectrum()
        cls.keep(observation, spectrum)
        cls.fit_flux(observation, spectrum, moments)
        return observation
