r"""Strong lensing: reconstruction of the lensed galaxy (the source) from its arcs.

.. math:: y = P\, L_\theta\, (s\, x) + \sum_k a_k\, \ell_k + n, \qquad n \sim N(0, \Sigma), \quad a \sim N(a_0, \Lambda)

with :math:`L_\theta` the ray tracing through a fixed lens, P the point-spread function and the mask, s the flux scale,
and :math:`\ell_k` the images of the components of the lens galaxy's light, each of unit amplitude. The light amplitudes
are integrated out: with :math:`U = \Sigma^{-1/2} \ell`, every :math:`W = \Sigma^{-1/2} A` loses the part that U can
absorb,

.. math:: A^\top C^{-1} A = W^\top W - W^\top U (\Lambda^{-1} + U^\top U)^{-1} U^\top W, \qquad
    C = \Sigma + \ell \Lambda \ell^\top

A sampler therefore sees the source alone, and its samples include the uncertainty of the foreground light. The lens
mass and the shape of the light are held at their fit (:mod:`skyscore.problems.lens.model`).

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
from skyscore.likelihoods.gaussian import GaussianLikelihood, Spectrum, compress
from skyscore.likelihoods.noise import CorrelatedNoise, DiagonalNoise
from skyscore.observation import Observation, Panel
from skyscore.operators.lensing import lens_operator
from skyscore.problems.base import Problem
from skyscore.statistics.moments import Moments

from .observed import observe_lens
from .simulated import simulate_lens

__all__ = ["LensProblem"]


class LensProblem(Problem):
    """The lens problem of this module. Unknown: the source's surface brightness `(1, h, w)` on the source frame."""

    kind = "lens"
    CAPTION_NUMBERS: ClassVar[dict[str, str]] = {
        "chi2_dof_bright_arcs": "chi2 per datum on the bright arcs",
        "chi2_dof_shipped_noise": "chi2 per datum with the noise map supplied with the data",
        "einstein_radius_arcsec": "Einstein radius [arcsec]",
        "einstein_radius_over_published": "ratio to the published Einstein radius",
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
        names = ("light_basis", "light_mean", "light_sd")
        # these three are None where the observation has no light of the lens
        self.light: Any
        self.light_mean: Any
        self.light_sd: Any
        self.light, self.light_mean, self.light_sd = (
            arrays[name].double() if "light_basis" in arrays else None for name in names
        )

    # ------------------------------------------------------------------ forward model

    @cached_property
    def operator(self) -> Any:
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
        """The noise law Sigma on the unmasked pixels."""
        if self.rho is None:
            return DiagonalNoise(self.std[self.keep])
        return CorrelatedNoise(self.std, self.rho, self.keep)

    @property
    def data(self) -> Tensor:
        """y minus the mean lens light, on the unmasked pixels `(M,)`."""
        y = self.image[self.keep]
        return y if self.light is None else y - self.light_columns @ self.light_mean

    @property
    def light_columns(self) -> Tensor:
        """Images of the light components on the unmasked pixels, `(M, K)`."""
        return self.light[:, self.keep].T

    # ------------------------------------------------------------------ likelihood

    def normal_equations(self) -> tuple[Tensor, Tensor]:
        """A' C^-1 A and A' C^-1 y (see :meth:`Problem.normal_equations`), with the light amplitudes integrated out."""
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

    # ------------------------------------------------------------------ new data of the same lens, with its light

    def observe(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """New data `(N, M)` of sources x `(N, 1, h, w)` in prior units: fresh noise, and fresh amplitudes of the lens
        light where the lens has light.
        """
        y = super().observe(x, generator)
        if self.light is None:
            return y
        z = torch.randn(len(x), len(self.light_mean), generator=generator, dtype=torch.float64)
        return y + (self.light_mean + self.light_sd * z) @ self.light_columns.T

    def solve(self, r: Tensor) -> Tensor:
        """C^-1 r of residuals r `(N, M)` from the mean light, with C = Sigma + light Lambda light'."""
        found = self.noise.solve(r)
        if self.light is None:
            return found
        back = self.noise.solve(self.light_columns.T.contiguous())  # (K, M)
        inner = back @ self.light_columns + torch.diag(self.light_sd**-2)
        return found - torch.linalg.solve(inner, (found @ self.light_columns).T).T @ back

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood:
        """p(y | x), in prior units, of N observations y `(N, M)` with the lens light, which is integrated out."""
        return super().likelihood_of(self.without_mean_light(y))

    def chi2(self, x: Tensor, y: Tensor) -> Tensor:
        """r' C^-1 r / M, shape `(N, n)`, of samples x `(N, n, 1, h, w)` of N observations y `(N, M)`."""
        if self.light is None:
            return super().chi2(x, y)
        y = self.without_mean_light(y.double().cpu())
        r = y[:, None] - torch.stack(
            [self.operator(self.to_physical(one.double().cpu())).flatten(1) for one in x]
        )
        return (r * self.solve(r.flatten(0, 1)).reshape(r.shape)).mean(-1)

    def without_mean_light(self, y: Tensor) -> Tensor:
        return y if self.light is None else y - (self.light_columns @ self.light_mean).to(y)

    def baselines(self, moments: Moments | None = None) -> dict[str, np.ndarray]:
        """Two reconstructions without a learned prior: curvature-regularised linear inversion and a single Sersic
        source.

        """
        V, s, d = (t.double().cpu() for t in vars(self.likelihood.spectrum()).values())
        s = s / self.observation.attrs["flux_scale"]
        inversion = invert((V * s**2) @ V.T, V @ (s * d), self.shape[1:])
        return {
            "curvature": inversion.image,
            "sersic": fit_sersic(Spectrum(V, s, d), self.shape[1:]).image,
        }

    # ------------------------------------------------------------------ checks and figure

    def light_given(self, residual: Tensor, generator: torch.Generator) -> Tensor:
        """A draw `(n, K)` of the light amplitudes minus their mean.

        Arguments:
            residual: y - A x - mean light, `(n, M)`.
        """
        U = self.noise.whiten(self.light_columns.T.contiguous())  # (K, M)
        L = torch.linalg.cholesky(U @ U.T + torch.diag(self.light_sd**-2))
        mean = torch.cholesky_solve(U @ self.noise.whiten(residual).T, L)
        z = torch.randn(mean.shape, generator=generator, dtype=torch.float64)
        return (mean + torch.linalg.solve_triangular(L.T, z, upper=True)).T

    def model(self, x: Tensor, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Lensed source `(n, M)` and lens light `(n, M)` of samples x in prior units.

        The light amplitudes are drawn given each sample, so that (source, light) is a draw from their joint posterior.
        """
        arcs = self.operator(self.to_physical(x.double().cpu()))
        if self.light is None:
            return arcs, torch.zeros_like(arcs)
        delta = self.light_given(self.data - arcs, torch.Generator().manual_seed(seed))
        return arcs, (self.light_mean + delta) @ self.light_columns.T

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """r' Sigma^-1 r / M of each sample, with r = y - source - light and M unmasked pixels; the light is drawn given
        the sample.

        Keys: `chi2_dof` under the fixed noise law; `chi2_dof_shipped_noise` under the noise map supplied with the data;
        `chi2_dof_diagonal` under the fixed standard deviations without their correlation; `chi2_dof_bright_arcs` under
        the fixed law on the pixels where the arcs exceed three standard deviations; `rms_to_truth` for simulations.
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
            found["rms_to_truth"] = self.rms_to_truth(x)
        return found

    def panels(self, x: Tensor) -> list[Panel]:
        """Observation, model, residuals, source (truth, posterior mean and standard deviation) and samples."""
        a, physical = self.observation.attrs, self.to_physical(x.double().cpu())
        arcs, light = self.model(x)
        y, mean = self.image[self.keep], (arcs + light).mean(0)
        image_scale, scale, unit = a["image_scale"], a["source_scale"], self.unit

        def image(values: Tensor) -> np.ndarray:
            frame = np.full(self.keep.shape, np.nan)
            frame[self.keep] = values
            return frame

        panels = [
            Panel(image(arcs.mean(0)), "Model: posterior mean", image_scale, unit, "arcs"),
            Panel(
                image((y - mean) / self.std[self.keep]),
                "Residual / sigma",
                image_scale,
                "sigma",
                "sigma",
                "signed",
            ),
            Panel(physical[:, 0].mean(0).numpy(), "Source: posterior mean", scale, unit, "source"),
            Panel(
                physical[:, 0].std(0).numpy(), "Source: standard deviation", scale, unit, "spread", "spread"
            ),
        ]
        if self.light is None:
            panels.insert(0, Panel(image(y), "Observation", image_scale, unit, "arcs"))
        else:
            subtracted = Panel(image(y - light.mean(0)), "Lens light subtracted", image_scale, unit, "arcs")
            clipped = np.minimum(self.image.numpy(), 1.5 * float(arcs.max()))  # the core would hide the arcs
            whole = Panel(clipped, "Observation, core clipped", image_scale, unit, "observation")
            panels = [whole, subtracted, *panels]
        truth = self.truth_image()
        if truth is not None:
            panels.insert(3, Panel(truth, "Source: truth", scale, unit, "source"))
        return panels + self.sample_panels(panels, physical[:, 0].numpy(), "source", "Source: sample")

    # ------------------------------------------------------------------ observations

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """A simulated lens; see :func:`skyscore.problems.lens.simulated.simulate_lens`."""
        return Observation(cls.kind, *simulate_lens(cls.completed(settings), images, seed))

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """The lens in `files` (role: path), see :func:`skyscore.problems.lens.files.read_imaging`.

        Measures the noise on the sky, fits the lens (:func:`skyscore.problems.lens.observed.observe_lens`), builds the
        likelihood of the source on a frame with the pixels of the prior, stores its decomposition so that samplers do
        not have to compute it, and fits the flux scale by evidence under the prior's `moments`.

        Raises:
            InputError: for files that hold no images, do not fit together or hold unusable pixels, and if no arcs or no
                positive flux are found.
        """
        pixels = math.isqrt(np.asarray(moments.mean).size)
        observation = Observation(cls.kind, *observe_lens(cls.completed(settings), files, pixels))
        problem = cls(observation)
        spectrum = compress(*problem.normal_equations(), problem.shape).spectrum()
        cls.store_spectrum(observation, spectrum)
        cls.fit_flux(observation, spectrum, moments, files["image"])
        return observation
