r"""Mass mapping: the convergence behind a shear map with holes.

.. math:: \gamma = P (s \, x) + n, \qquad n \sim N(0, \sigma_e^2 / N_\mathrm{gal}) \text{ per component and pixel}

with :math:`P` the operator of :mod:`skyscore.operators.shear` on the unmasked pixels, N the galaxies of a pixel, s the
convergence of one prior unit. Masked pixels are no data: they have no weight, not a large variance. The mean of the
convergence is not constrained by the data but by the prior.

Reference: Remy et al. (2022), arXiv:2201.05561 (COSMOS).
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.ndimage import maximum_filter
from torch import Tensor

from skyscore.baselines.kaiser_squires import gaussian_smoothing, kaiser_squires
from skyscore.baselines.starlet import starlet_map
from skyscore.baselines.wiener import cosine_variances, wiener_map
from skyscore.likelihoods.gaussian import GaussianLikelihood, compress
from skyscore.likelihoods.matrix_free import IsometricLikelihood
from skyscore.likelihoods.noise import DiagonalNoise
from skyscore.observation import Observation, Panel
from skyscore.operators.shear import ShearOperator, decompose
from skyscore.problems.base import Problem
from skyscore.statistics.moments import Moments, moments_of

from .observed import SMOOTH, cluster_check, observe_shear
from .simulated import simulate_shear

__all__ = ["SETTINGS", "KappaProblem", "peak_counts"]

# fmt: off
SETTINGS = {
    "type": "object",
    "properties": {
        "pixel_scale": {"type": "number", "exclusiveMinimum": 0, "default": 2.5, "unit": "arcmin",
            "description": "Side of a pixel; that of the data set of the prior."},
        "density": {"type": "number", "exclusiveMinimum": 0, "default": 40.0, "unit": "galaxy / arcmin^2",
            "description": "Galaxies with a measured shape; their number in a pixel is Poisson."},
        "sigma_e": {"type": "number", "exclusiveMinimum": 0, "default": 0.28,
            "description": "Standard deviation of one component of the ellipticity of a galaxy."},
        "masked": {"type": "number", "minimum": 0, "maximum": 0.9, "default": 0.15,
            "description": "Share of the pixels hidden behind stars."},
        "padding": {"type": "integer", "minimum": 0, "default": 0, "unit": "pixel",
            "description": "Width of an empty border around the map; without one the sky is periodic."},
        "regression": {"type": "integer", "minimum": 0, "default": 800, "unit": "step",
            "description": "Steps of training of the direct regression among the baselines; 0 leaves it out."},
        "decompose": {"type": ["boolean", "null"], "default": None,
            "description": "Whether the operator is decomposed, as all samplers but a matched pnpdm and the regression "
            "need; null: up to 64 pixels on a side."},
        "center": {"type": ["array", "null"], "items": {"type": "number"}, "minItems": 2, "maxItems": 2,
            "default": None, "unit": "degree",
            "description": "Real data: right ascension and declination of the map's middle; null: of the galaxies."},
        "fewest": {"type": "integer", "minimum": 1, "default": 10, "unit": "galaxy",
            "description": "Real data: pixels with fewer are masked."},
        "columns": {"type": "object", "additionalProperties": {"type": "string",
            "description": "Name of the column in the table."}, "default": {},
            "description": "Real data: columns of a catalogue (ra, dec, e1, e2, weight) that have other names there."},
        "e2_sign": {"type": "integer", "enum": [1, -1], "default": 1,
            "description": "Real data: -1 turns the second component of shears that are given on axes east and north."},
        "cluster_mass": {"type": "number", "minimum": 0, "default": 3.0, "unit": "1e13 solar masses",
            "description": "Real data: least M500 of the clusters at which the map is checked."},
    },
}
FILES = {
    "catalogue": "FITS table of galaxies: ra, dec [degree], e1, e2 (shear estimates), weight",
    "ra": "instead of the table, one FITS array for each column: right ascensions [degree]",
    "dec": "declinations [degree]",
    "e1": "first components",
    "e2": "second components",
    "weight": "weights",
    "gamma_1": "FITS image: mean shear of each pixel, along columns (instead of a catalogue)",
    "gamma_2": "FITS image: the same along the diagonal",
    "std": "FITS image: standard deviation of the noise in each component",
    "mask": "FITS image, not 0 where there are no data (may be left out)",
    "clusters": "table of X-ray clusters as that of Finoguenov et al. (2007), a check (may be left out)",
}
# fmt: on
PEAKS = (0.03, 0.06)  # convergence above which peaks are counted
LARGEST = 4096  # pixels of a map whose operator is decomposed unless asked for: time grows as their cube


class KappaProblem(Problem):
    """See the module. Unknown: the convergence `(1, H, W)`."""

    kind = "kappa"
    SETTINGS: ClassVar[dict[str, Any]] = SETTINGS
    FILES: ClassVar[dict[str, str]] = FILES
    STATED: ClassVar[dict[str, str]] = {
        "clusters_kappa": "kappa at the X-ray clusters",
        "clusters_random": "at random places",
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
        self.clusters = observation.arrays.get("clusters")
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
        """Whether the operator is not decomposed; samplers then go through its transforms."""
        asked = self.observation.attrs["settings"].get("decompose")
        return math.prod(self.shape) > LARGEST if asked is None else not asked

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood:
        if not self.large:
            return super().likelihood_of(y)
        s = self.observation.attrs["flux_scale"]
        return IsometricLikelihood(self.operator, y.double() / s, self.noise.std / s).to(self.device)

    def footprint(self) -> np.ndarray:
        return self.keep.numpy()

    def baselines(self, moments=None) -> dict[str, np.ndarray]:
        """Kaiser-Squires with the best smoothing, the Wiener filter (both by the moments), and a sparse starlet map."""
        power, instrument = self.power(moments), (self.operator, self.data, self.noise)
        found = {
            "kaiser_squires": kaiser_squires(*instrument, power),
            "wiener": wiener_map(*instrument, power),
            "starlet": starlet_map(*instrument),
        }
        return {name: image.numpy() for name, image in found.items()}

    def power(self, moments: Moments) -> Tensor:
        """Variances `(H, W)` of the cosine modes of the convergence.

        Of large maps as measured mode by mode: their principal components are too few, and beyond them all is white.
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

        Keys: `chi2_dof`, also of each component of the shear; `peaks_above_0.03`, ... (local maxima of the
        convergence, unmasked pixels) and `..._truth`; `skewness`; `pearson_mean` and `rmse_mean` of the posterior mean
        with the truth on the unmasked pixels.
        """
        physical = self.to_physical(x.double().cpu())
        r = self.noise.whiten(self.data - self.operator(physical)).square().unflatten(1, (2, -1)).mean(2)
        found = {"chi2_dof": r.mean(1), "chi2_dof_gamma_1": r[:, 0], "chi2_dof_gamma_2": r[:, 1]}
        found = {key: value.numpy() for key, value in found.items()}
        kappa, keep = physical[:, 0].numpy(), self.footprint()
        found["skewness"] = skewness(kappa)
        found |= {f"peaks_above_{level:g}": peak_counts(kappa, level, keep) for level in PEAKS}
        found["unmasked_pixels"] = int(keep.sum())
        if self.clusters is not None:
            found |= self.at_clusters(kappa)
        if "truth" in self.observation.arrays:
            truth = self.truth()
            mean = kappa.mean(0)
            found["pearson_mean"] = np.corrcoef(mean[keep], truth[keep])[0, 1]
            found["rmse_mean"] = np.sqrt(np.mean((mean - truth)[keep] ** 2))
            found["skewness_truth"] = skewness(truth[None])[0]
            found |= {
                f"peaks_above_{level:g}_truth": peak_counts(truth[None], level, keep)[0] for level in PEAKS
            }
        return found

    def at_clusters(self, kappa: np.ndarray) -> dict[str, Any]:
        """Convergence at the clusters, of samples (n, H, W) and of smoothed Kaiser-Squires maps.

        Keys: `clusters_kappa` (n,) mean of each sample over the clusters; `clusters_random` and `clusters_random_sd` of
        the posterior mean at as many random places; the same of the E and the B mode, `clusters_ks_e`, ...
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
        """E and B mode of the shear, zero where masked, each smoothed by a Gaussian of SMOOTH arcmin, (H, W)."""
        return [gaussian_smoothing(mode, SMOOTH / self.pixel_scale) for mode in decompose(self.shear)]

    def truth(self) -> np.ndarray:
        """Convergence (H, W) of a simulation."""
        return self.to_physical(torch.as_tensor(self.observation.arrays["truth"]).double())[0].numpy()

    def panels(self, x: Tensor) -> list[Panel]:
        """Shear, residuals, truth or classical maps, posterior mean and samples; clusters as circles."""
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
            panel(seen(self.shear[0]), "shear $\\gamma_1$", "shear", "shear"),
            panel(seen(self.shear[1]), "shear $\\gamma_2$", "shear", "shear"),
            panel(seen(residual[0]), "residual $\\gamma_1$ / sigma", "sigma", "sigma"),
            panel(seen(residual[1]), "residual $\\gamma_2$ / sigma", "sigma", "sigma"),
        ]
        if "truth" in self.observation.arrays:
            panels.append(panel(self.truth(), "truth", "kappa"))
        mean, sd = physical[:, 0].mean(0), physical[:, 0].std(0)
        panels += [
            marked(panel(mean, "posterior mean", "kappa")),
            panel(sd, "standard deviation", "spread", look="spread"),
        ]
        if self.clusters is not None:
            panels.append(marked(panel(mean / sd, "mean / standard deviation", "snr", "sigma")))
            for name, smooth in zip(("Kaiser-Squires", "its B mode"), self.smoothed_modes(), strict=True):
                panels.append(marked(panel(smooth, f"{name}, {SMOOTH:g} arcmin", "smooth")))
        samples = [panel(p[0], f"sample {k + 1}", "kappa") for k, p in enumerate(physical)]
        return panels + samples[: 12 - len(panels)]

    @classmethod
    def simulate(cls, settings: dict[str, Any], images: np.ndarray, seed: int) -> Observation:
        """See :func:`skyscore.problems.kappa.simulated.simulate_shear`."""
        return Observation(cls.kind, *simulate_shear(cls.completed(settings), images, seed))

    @classmethod
    def from_data(cls, settings: dict[str, Any], files: dict[str, str], moments: Moments) -> Observation:
        """See :func:`skyscore.problems.kappa.observed.observe_shear`; on a map with the pixels of the prior."""
        pixels = math.isqrt(np.asarray(moments.mean).size)
        return Observation(cls.kind, *observe_shear(cls.completed(settings), files, pixels))


def peak_counts(maps: np.ndarray, level: float, keep: np.ndarray) -> np.ndarray:
    """Pixels of maps (n, H, W) that exceed `level` and their eight neighbours, among those kept: (n,)."""
    return np.array([((m == maximum_filter(m, 3)) & (m > level) & keep).sum() for m in maps])


def skewness(maps: np.ndarray) -> np.ndarray:
    """Of the pixels of each map (n, H, W): (n,)."""
    d = maps - maps.mean((1, 2), keepdims=True)
    return (d**3).mean((1, 2)) / (d**2).mean((1, 2)) ** 1.5
