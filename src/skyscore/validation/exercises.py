r"""Where a posterior stands between the prior and the truth.

Distances between sets of images are energy distances in units of the mean distance of two draws of the prior,

.. math:: d(p, q) = \frac{2 E|x - y| - E|x - x'| - E|y - y'|}{E|z - z'|}, \qquad
    x \sim p,\ y \sim q,\ z \sim \mathrm{prior}

so that the distance of a posterior to the prior is 0 where the data say nothing and about 1 where they fix the image.
Its distance to the truth is :math:`E|x - t| / E|z - z'|`: about 1 for the prior, 0 where the image is known.

Reference: Szekely & Rizzo (2013), Journal of Statistical Planning and Inference 143, 1249 (energy distance).
"""

from __future__ import annotations

import numpy as np

__all__ = ["position"]


def mean_distance(x: np.ndarray, y: np.ndarray) -> float:
    """E|x - y| over all pairs of two sets of images (n, D), (m, D)."""
    square = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    return float(np.sqrt(np.maximum(square, 0)).mean())


def within(x: np.ndarray) -> float:
    """E|x - x'| over the pairs of different images of one set."""
    return mean_distance(x, x) * len(x) / (len(x) - 1)


def position(samples: np.ndarray, prior: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Numbers of one posterior.

    Arguments:
        samples: of the posterior, (n, ...), n >= 2. prior: draws of the prior, (m, ...). truth: one image.

    Returns:
        `distance_to_prior`, `distance_to_truth`; `sd`, root mean square over pixels of the posterior's standard
        deviation, `sd_over_prior`, the same in units of the prior's; `rmse` of the posterior mean; and `error_over_sd`,
        the error of the mean in units of what the samples claim (1 for a posterior that is right).
    """
    x, z, t = (np.asarray(v, dtype=float).reshape(len(v), -1) for v in (samples, prior, truth[None]))
    n, scale, spread = len(x), within(z), within(x)
    sd = float(np.sqrt(x.var(0, ddof=1).mean()))
    rmse = float(np.sqrt(((x.mean(0) - t[0]) ** 2).mean()))
    return {
        "distance_to_prior": (2 * mean_distance(x, z) - spread - scale) / scale,
        "distance_to_truth": mean_distance(x, t) / scale,
        "sd": sd,
        "sd_over_prior": sd / float(np.sqrt(z.var(0, ddof=1).mean())),
        "rmse": rmse,
        "error_over_sd": rmse / (sd * np.sqrt(1 + 1 / n)),
    }
