"""The sampler and settings that `sample("default", ...)` uses.

There are four cases, each decided by measurements:

* The noise is learned and has a score but no density: `slic` draws image and noise together.
* The image has at most 256 pixels: `tds` uses particles with the full Jacobian in their twist. It gets the weights of
  modes right where guidance does not (the exact benchmark). If the particles collapse, the guidance of the last case
  replaces it.
* The operator passes nearly all directions of the image about equally well, as shear does, or is too large to
  decompose: `pnpdm` with `matched`, a Gibbs sampler whose coupling is subtracted from the noise.
* All other likelihoods: `mmps`, guidance with Tweedie's covariance.

The simulations of config/config.yaml certify the settings of the first, third and fourth case.
"""

from __future__ import annotations

import math
from typing import Any

from skyscore.samplers.particles.tds import JACOBIAN_LIMIT

__all__ = ["FALLBACK", "default_settings"]

GUIDED = {"start_sigmas": 3.0, "cg_steps": 4, "eta": 0.75}  # guidance with Tweedie's covariance
FALLBACK = {"name": "mmps", "steps": 36, **GUIDED}  # also used when the particles of `tds` collapse
ALIKE = 0.5  # third case: 90 % of the singular values exceed this fraction of the largest


def default_settings(likelihood) -> dict[str, Any]:
    """`name`, `steps` and options for a likelihood of one observation, or of several observations with one operator."""
    if not likelihood.has_density:
        return {"name": "slic", "steps": 32, **GUIDED}
    if math.prod(likelihood.operator.in_shape) <= JACOBIAN_LIMIT:
        return {"name": "tds", "steps": 50, "particles": 2.0}
    if alike(likelihood):
        return {"name": "pnpdm", "steps": 150, "matched": True, "hold": 0.4}
    return dict(FALLBACK)


def alike(likelihood) -> bool:
    """Whether the data constrain nearly all modes of the image about equally well."""
    if not likelihood.decomposable:
        return True
    s, pixels = likelihood.spectrum().s, math.prod(likelihood.operator.in_shape)
    return len(s) >= 0.9 * pixels and float(s.quantile(0.1)) >= ALIKE * float(s.max())
