r"""The position of a posterior between the prior and the truth.

With samples x of the posterior, draws z of the prior and the truth t, the distance to the prior is an energy distance
in units of that of the truth, and the distance to the truth is a mean distance in units of that of the prior:

.. math:: \frac{2 E|x - z| - E|x - x'| - E|z - z'|}{2 E|t - z| - E|z - z'|} \qquad \mathrm{and} \qquad
    \frac{E|x - t|}{E|z - t|}

As the data degrade from determining the image to containing no information, the first falls from 1 to 0 and the second
rises from 0 to 1.

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
        samples: of the posterior, (n, ...), n >= 2.
        prior: draws of the prior, (m, ...).
        truth: one image.

    Returns:
        `distance_to_prior`, `distance_to_truth`; `sd`, root mean square over pixels of the posterior's standard
        deviation; `sd_over_prior`, the same in units of the prior's; `rmse` of the posterior mean; and `error_over_sd`,
        the error of the mean in units of the spread of the samples (1 for a correct posterior).
    """
    x, z, t = (np.asarray(v, dtype=float).reshape(len(v), -1) for v in (samples, prior, truth[None]))
    n, apart, far = len(x), within(z), mean_distance(z, t)
    sd = float(np.sqrt(x.var(0, ddof=1).mean()))
    rmse = float(np.sqrt(((x.mean(0) - t[0]) ** 2).mean()))
    return {
        "distance_to_prior": (2 * mean_distance(x, z) - within(x) - apart) / (2 * far - apart),
        "distance_to_truth": mean_distance(x, t) / far,
        "sd": sd,
        "sd_over_prior": sd / float(np.sqrt(z.var(0, ddof=1).mean())),
        "rmse": rmse,
        "error_over_sd": rmse / (sd * np.sqrt(1 + 1 / n)),
    }
