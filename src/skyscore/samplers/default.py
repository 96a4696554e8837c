"""Which sampler `sample("default", ...)` takes, and with which settings.

Four cases, each by what was measured of it:

* the noise is learned, with a score and no density: image and noise are drawn together (`slic`);
* images of up to 256 pixels: particles with the full Jacobian in their twist (`tds`), which get the weights of modes
  right where guidance does not (the exact benchmark); guidance as in the last case if they collapse;
* operators that let nearly all of the image through alike, such as shear, or that are too large to decompose: Gibbs
  turns with the coupling taken out of the noise (`pnpdm` with `matched`);
* anything else: Tweedie's covariance in the guidance (`mmps`).

The settings of the first, third and fourth are those that the simulations of config/config.yaml certify.
"""

from __future__ import annotations

import math
from typing import Any

from skyscore.samplers.particles.tds import JACOBIAN_LIMIT

__all__ = ["INSTEAD", "chosen"]

GUIDED = {"reach": 3.0, "cg_steps": 4, "churn": 0.75}  # by Tweedie's covariance
INSTEAD = {"name": "mmps", "steps": 36, **GUIDED}  # also where the particles of another collapse
ALIKE = 0.5  # of the largest singular value: what nine modes in ten have at least, behind operators of the third case


def chosen(likelihood) -> dict[str, Any]:
    """`name`, `steps` and options for a likelihood of one observation, or of many by one operator."""
    if not likelihood.has_density:
        return {"name": "slic", "steps": 32, **GUIDED}
    if math.prod(likelihood.operator.in_shape) <= JACOBIAN_LIMIT:
        return {"name": "tds", "steps": 50, "particles": 2.0}
    if alike(likelihood):
        return {"name": "pnpdm", "steps": 150, "matched": True, "hold": 0.4}
    return dict(INSTEAD)


def alike(likelihood) -> bool:
    """Whether the data see nearly all modes of the image, and all of those about as well."""
    if not likelihood.decomposable:
        return True
    s, pixels = likelihood.spectrum().s, math.prod(likelihood.operator.in_shape)
    return len(s) >= 0.9 * pixels and float(s.quantile(0.1)) >= ALIKE * float(s.max())
