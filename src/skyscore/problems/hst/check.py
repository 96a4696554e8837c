"""The held-out image of the sharp telescope, and how samples and reconstructions of the scene predict it.

For real data all comparisons allow for one factor, the colour of the object
(:mod:`skyscore.problems.hst.check_scores`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from skyscore.observation import Panel
from skyscore.operators.base import LinearOperator
from skyscore.operators.sampling import exposures
from skyscore.problems.base import Problem
from skyscore.statistics.spectra import correlation

from .check_scores import colour_of, compared

__all__ = ["SharpImage"]


class SharpImage:
    """Creates the check from the problem whose observation holds it.

    Attributes:
        image: (H, W), in units of the scene.
        keep: good pixels of the image (H, W).
        psf: PSF of the sharp telescope on the scene's pixels; it includes the offset between the frames.
        simulated: whether the truth is known; the colour is then 1.
    """

    def __init__(self, problem: Problem, name: str):
        a, arrays = problem.observation.attrs, problem.observation.arrays
        self.problem, self.name, self.std, self.simulated = problem, name, a["sharp_std"], "truth" in arrays
        self.image, self.psf = arrays["sharp"], torch.as_tensor(np.asarray(arrays["sharp_psf"])).double()
        self.keep = np.asarray(arrays.get("sharp_keep", np.ones(self.image.shape)), dtype=bool)
        self.unit, self.scale = a.get("sharp_unit", problem.unit), problem.pixel_scale

    @property
    def operator(self) -> LinearOperator:
        """The forward model of the check: scenes `(B, 1, h, w)` in physical units to `(B, 1, H, W)`."""
        size = self.problem.shape[1:]
        return exposures(self.psf, size, self.scale, size, self.scale)

    def predicted(self, x: Tensor) -> np.ndarray:
        """The image predicted by samples x (n, C, h, w) in prior units, `(n, H, W)`."""
        return self.operator(self.problem.to_physical(x))[:, 0].numpy()

    def colour(self, prediction: np.ndarray) -> float:
        """Factor from a prediction (H, W) to the image: fitted for real data, otherwise 1."""
        return 1.0 if self.simulated else colour_of(prediction, self.image, self.keep)

    def checked(self, scene: np.ndarray, convolved: bool = False) -> dict[str, float]:
        """How well a reconstruction (h, w) in physical units predicts the real image.

        Arguments:
            convolved: whether the reconstruction already includes a PSF, so that it is compared as it is.
        """
        model = (
            scene if convolved else self.operator(torch.as_tensor(scene)[None, None].double())[0, 0].numpy()
        )
        return compared(model, self.image, self.keep, self.scale)

    def numbers(self, x: Tensor) -> dict[str, Any]:
        """How well samples x (n, C, h, w) predict the image.

        Keys: see :meth:`skyscore.problems.hst.problem.HSTProblem.residuals`.
        """
        sharp, keep = self.predicted(x), self.keep
        mean = sharp.mean(0)
        colour = self.colour(mean)
        found = {
            "sharp_correlation": correlation(mean, self.image, self.problem.footprint() & keep),
            "sharp_chi2_dof": (((colour * sharp - self.image) / self.std) ** 2)[:, keep].mean(1),
        }
        if not self.simulated:
            found |= {f"sharp_{k}": v for k, v in compared(mean, self.image, keep, self.scale).items()}
            each = [correlation(one, self.image, keep) for one in sharp]
            found["sharp_sample_correlation"] = np.array(each)
            n = len(sharp)  # the mean of n samples adds their variance over n to the posterior variance
            spread = self.std**2 + colour**2 * sharp.var(0, ddof=min(1, n - 1)) * (1 + 1 / n)
            found["sharp_z2"] = float(((colour * mean - self.image) ** 2 / spread)[keep].mean())
        return found

    def panels(self, x: Tensor) -> list[Panel]:
        """The image, its prediction by samples x (n, C, h, w), and for real data the difference."""
        mean = self.predicted(x).mean(0)
        mean *= self.colour(mean)
        seen = np.where(self.keep, self.image, np.nan)
        panels = [
            Panel(seen, f"{self.name} image (held out)", self.scale, self.unit, "sharp"),
            Panel(mean, "Posterior mean at JWST's PSF", self.scale, self.unit, "sharp"),
        ]
        if not self.simulated:
            left = (seen - mean) / self.std
            panels.append(Panel(left, "Held-out image - mean", self.scale, "sigma", "unseen", "signed"))
        return panels
