r"""Mass mapping: reconstruction of the convergence from a shear map with masked pixels.

.. math:: \gamma = P (s \, x) + n, \qquad n \sim N(0, \sigma_e^2 / N_\mathrm{gal}) \text{ per component and pixel}

with :math:`P` the operator of :mod:`skyscore.operators.shear` on the unmasked pixels, :math:`N_\mathrm{gal}` the number
of galaxies in a pixel, and s the convergence of one prior unit. Masked pixels are removed from the data; they are not
given a large variance. The prior, not the data, constrains the mean of the convergence.

Reference: Remy et al. (2022), arXiv:2201.05561 (COSMOS).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.ndimage import maximum_filter
from scipy.stats import skew
from torch import Tensor

from skyscore.baselines.kaiser_squires import gaussian_smoothing, kaiser_squires
from skyscore.baselines.starlet import starlet_map
from skyscore.baselines.wiener import cosine_variances, wiener_map
from skyscore.config.limits import DECOMPOSED_PIXELS
from skyscore.likelihoods.gaussian import GaussianLikelihood, compress
from skyscore.likelihoods.matrix_free import MatrixFreeLikelihood
from skyscore.likelihoods.noise import DiagonalNoise
from skyscore.observation import Observation, Panel
from skyscore.operators.shear import ShearOperator, decompose
from skyscore.problems.base import Problem
from skyscore.statistics.moments import Moments, moments_of

from .observed import SMOOTH, cluster_check, observe_shear
from .simulated import simulate_shear

__all__ = ["KappaProblem", "peak_counts"]

PEAKS = (0.03, 0.06)  # convergence above which peaks are counted


class KappaProblem(Problem):
    """The mass-mapping problem of this module. Unknown: the convergence `(1, H, W)`."""

    kind = "kappa"
    CAPTION_NUMBERS: ClassVar[dict[str, str]] = {
        "clusters_kappa": "mean convergence at the X-ray clusters",
        "clusters_random": "mean convergence at random positions",
        "clusters_ks_e": "E mode of Kaiser-Squires at the clusters",
        "clusters_ks_b": "B mode of Kaiser-Squires at the clusters",
    }
    look, scale_unit = "signed", "arcmin"

    def __init__(self, observation: Observation, device: str = "cpu"):
        super().__init__(observation, device)
        a = observation.attrs
        arrays = {name: torch.as_tensor(np.ascontiguousarray(v)) for name, v in observation.arrays.items()}
        self.shear, self.keep = arrays["shear"].double(), arrays["keep"].bool()  # (2, H, W), (H, W)
        self.std = arrays["std"].double()
        self.shape = (1, *self.keep.shape)
        self.pixel_scale, self.unit, self.wcs = a["pixel_scale"], a["unit"], a.get("wcs")
        self.clusters: Any = observation.arrays.get("clusters")
        self.operator = ShearOperator(self.keep, a["padding"])
        self.noise = DiagonalNoise(self.std[self.keep].repeat(2))
        self.data = self.shear[:, self.keep].flatten()

    @cached_property
    def likelihood(self) -> GaussianLikelihood:
        if self.large:
            return self.likelihood_of(self.data)
        s = self.observation.attrs["flux_scale"]
        G, b, _ = self.noise.gram(s * self.operator.matrix(), self.data)
        return compress(G.to(self.device), b.to(self.device), self.shape)

    @property
    def large(self) -> bool:
        """Whether the operator is too large to decompose; samplers then apply it by its Fourier transforms."""
        asked = self.observation.attrs["settings"].get("decompose")
        return math.prod(self.shape) > DECOMPOSED_PIXELS if asked is None else not asked

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood:
        if not self.large:
            return super().likelihood_of(y)
        s = self.observation.attrs["flux_scale"]
        return MatrixFreeLikelihood(self.operator, y.double() / s, self.noise.std / s).to(self.device)

    def footprint(self) -> np.ndarray:
        return self.keep.numpy()

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Three classical maps: Kaiser-Squires with optimal smoothing, the Wiener filter, and a sparse starlet map.

        The first two use the `moments` of the prior.
        """
        power, instrument = self.power(moments), (self.operator, self.data, self.noise)
        found = {
            "kaiser_squires": kaiser_squires(*instrument, power),
            "wiener": wiener_map(*instrument, power),
            "starlet": starlet_map(*instrument),
        }
        return {name: image.numpy() for name, image in found.items()}

    def power(self, moments: Moments) -> Tensor:
        """Variances `(H, W)` of the cosine modes of the convergence.

        For large maps these are the measured variances of the modes: large maps have too few principal components, and
        the covariance beyond them would be white.
        """
        measured = self.large and moments.modes is not None
        found = torch.from_numpy(moments.modes) if measured else cosine_variances(moments, self.shape[-1])
        return self.observation.attrs["flux_scale"] ** 2 * found

    def estimates(self, y: Tensor, draws: np.ndarray) -> np.ndarray:
        if not self.large:
            return super().estimates(y, draws)
        power, unit = self.power(moments_of(draws)), self.observation.attrs["flux_scale"]
        maps = [wiener_map(self.operator, one, self.noise, power) / unit for one in y]
        return torch.stack(maps)[:, None].numpy()

    # ------------------------------------------------------------------ checks and figure

    def residuals(self, x: Tensor) -> dict[str, Any]:
        """Fit and statistics of samples x (n, 1, H, W).

        Keys: `chi2_dof`, also for each component of the shear; `peaks_above_0.03`, ... (number of local maxima of the
        convergence on unmasked pixels) and `..._truth`; `skewness`; `pearson_mean` and `rmse_mean` of the posterior
        mean against the truth on the unmasked pixels.
        """
        physical = self.to_physical(x.double().cpu())
        r = self.noise.whiten(self.data - self.operator(physical)).square().unflatten(1, (2, -1)).mean(2)
        found = {"chi2_dof": r.mean(1), "chi2_dof_gamma_1": r[:, 0], "chi2_dof_gamma_2": r[:, 1]}
        found = {key: value.numpy() for key, value in found.items()}
        kappa, keep = physical[:, 0].numpy(), self.footprint()
        found["skewness"] = skew(kappa, axis=(1, 2))
        found |= {f"peaks_above_{level:g}": peak_counts(kappa, level, keep) for level in PEAKS}
        found["unmasked_pixels"] = int(keep.sum())
        if self.clusters is not None:
            found |= self.at_clusters(kappa)
        truth = self.truth_image()
        if truth is not None:
            mean = kappa.mean(0)
            found["pearson_mean"] = np.corrcoef(mean[keep], truth[keep])[0, 1]
            found["rmse_mean"] = np.sqrt(np.mean((mean - truth)[keep] ** 2))
            found["skewness_truth"] = float(skew(truth, axis=None))
            found |= {
                f"peaks_above_{level:g}_truth": peak_counts(truth[None], level, keep)[0] for level in PEAKS
            }
        return found

    def at_clusters(self, kappa: np.ndarray) -> dict[str, Any]:
        """Convergence at the clusters: of samples (n, H, W) and of smoothed Kaiser-Squires maps.

        Keys: `clusters_kappa` (n,), the mean of each sample over the clusters; `clusters_random` and
        `clusters_random_sd`, of the posterior mean at as many random positions; and the same for the E and B modes,
        `clusters_ks_e`, ...
        """
        keep = self.footprint()
        here, mean, sd = cluster_check(kappa, self.clusters, keep)
        found = {"clusters_kappa": here, "clusters_random": mean, "clusters_random_sd": sd}
        for name, smooth in zip(("e", "b"), self.smoothed_modes(), strict=True):
            here, mean, sd = cluster_check(smooth.numpy()[None], self.clusters, keep)
            keys = (f"clusters_ks_{name}", f"clusters_ks_{name}_random", f"clusters_ks_{name}_random_sd")
            found |= dict(zip(keys, (float(here[0]), mean, sd), strict=True))
        return found

    def smoothed_modes(self) -> list[Tensor]:
        """E and B mode (H, W) of the shear, zero where masked, each smoothed by a Gaussian of SMOOTH arcmin."""
        return [gaussian_smoothing(mode, SMOOTH / self.pixel_scale) for mode in decompose(self.shear)]

    def panels(self, x: Tensor) -> list[Panel]:
        """Shear, residuals, truth or classical maps, posterior mean and samples; clusters are marked by circles."""
        physical = self.to_physical(x.double().cpu())
        model = self.operator.maps(self.operator(physical).mean(0, keepdim=True))[0]
        scale, unit = self.pixel_scale, self.unit

        def panel(image: Tensor | np.ndarray, title: str, group: str, unit: str = unit, look: str = "signed"):
            return Panel(np.asarray(image), title, scale, unit, group, look, "arcmin")

        def marked(shown: Panel) -> Panel:
            shown.marks = None if self.clusters is None else self.clusters[:, :2].tolist()
            return shown

        def seen(image: Tensor) -> Tensor:
            return torch.where(self.keep, image, torch.nan)

        residual = (self.shear - model) / self.std
        panels = [
            panel(seen(self.shear[0]), "Shear $\\gamma_1$", "shear", "shear"),
            panel(seen(self.shear[1]), "Shear $\\gamma_2$", "shear", "shear"),
            panel(seen(residual[0]), "Residual $\\gamma_1$ / sigma", "sigma", "sigma"),
            panel(seen(residual[1]), "Residual $\\gamma_2$ / sigma", "sigma", "sigma"),
        ]
        truth = self.truth_image()
        if truth is not None:
            panels.append(panel(truth, "Truth", "kappa"))
        mean, sd = physical[:, 0].mean(0), physical[:, 0].std(0)
        panels += [
            marked(panel(mean, "Posterior mean", "kappa")),
            panel(sd, "Standard deviation", "spread", look="spread"),
        ]
        if self.clusters is not None:
            panels.append(marked(panel(mean / sd, "Mean / standard deviation", "snr", "sigma")))
            names = ("Kaiser-Squires E mode", "Kaiser-Squires B mode")
            for name, smooth in zip(names, self.smoothed_modes(), strict=True):
                panels.append(marked(panel(smooth, f"{name}, {SMOOTH:g} arcmin", "smooth")))
        return panels + self.sample_panels(panels, physical[:, 0].numpy(), "kappa")

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """A simulated shear map; see :func:`skyscore.problems.kappa.simulated.simulate_shear`."""
        return Observation(cls.kind, *simulate_shear(cls.completed(settings), images, seed))

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """The shear in `files` on a map with the pixels of the prior.

        See :func:`skyscore.problems.kappa.observed.observe_shear`, also for errors.
        """
        pixels = math.isqrt(np.asarray(moments.mean).size)
        return Observation(cls.kind, *observe_shear(cls.completed(settings), files, pixels))


def peak_counts(maps: np.ndarray, level: float, keep: np.ndarray) -> np.ndarray:
    """Number (n,) of pixels, among those in `keep`, where maps (n, H, W) exceed `level` and their eight neighbours."""
    return np.array([((m == maximum_filter(m, 3)) & (m > level) & keep).sum() for m in maps])
