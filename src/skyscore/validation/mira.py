r"""MIRA: is a region chosen by the posterior as likely to hold the truth as the posterior says? Tested on two sides.

Around a centre c, a sample x_b sets a radius. With n of the N other samples inside and k = 1 if the truth is inside,

.. math:: p(k \mid n) = \frac{n + 1}{N + 2} \ (k = 1), \quad \frac{N - n + 1}{N + 2} \ (k = 0), \qquad
    \text{score} = \frac{N + 2}{N + 1} \, \langle p \rangle

For draws of the posterior n is uniform and P(k = 1 | n) = (n + 1) / (N + 2), so that the score is
:math:`(2 N + 3) / (3 (N + 1))`, 2/3 for many samples. **That value is no maximum**: samples that are spread too widely
score above it, so the deviation is judged on both sides, in standard errors. These are the standard deviation over
truths of the centre-averaged score, over the root of the number of truths: centres and radii of one truth are no
independent trials.

Every sample serves as radius in turn (the mean over the random choice of the original). Centres may depend on the
data, as in :mod:`skyscore.validation.tarp`, which says what each choice sees; by default each sample serves as centre
in turn, which leaves N = S - 2.

The `mira_score` package 0.1.7 gives the same mean for the same centres (tests). It is not right where: given
`reference_choice` it fails (an undefined variable); its centres are uniform in the unit cube, with no scaling to it by
default; the standard deviation it returns is over repetitions for the same truths, not over truths; and it says that
higher is better.

The score cannot see everything: it falls again where samples are spread so widely that every truth lies inside every
region, so that a width in between scores as a calibrated one. Coverage and moments stand beside it.

Reference: Sharief, Zeghal, Barco, Lemos, Hezaveh & Perreault-Levasseur (2026), arXiv:2605.02014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from .tarp import checked

__all__ = ["Mira", "calibrated_score", "mira"]

LEAST = 0.1 / np.sqrt(
    18
)  # a tenth of a calibrated score's scatter; where all truths score alike, scatter says nothing


@dataclass
class Mira:
    """Attributes:
    score: mean over truths; error: its standard error.
    reference: score of a calibrated posterior with as many samples.
    z: (score - reference) / error, positive where samples are spread too widely.
    per_truth: score of each truth, mean over centres and radii, shape `(N,)`.
    """

    score: float
    error: float
    reference: float
    z: float
    per_truth: np.ndarray


def calibrated_score(N: int) -> float:
    """Expected normalised score of a calibrated posterior with N samples beside the one that sets the radius."""
    return (2 * N + 3) / (3 * (N + 1))


def mira(samples, truths, centres=None) -> Mira:
    """Two-sided MIRA.

    Arguments:
        samples: posterior samples `(S, N, D)` of N simulations, S >= 3.
        truths: `(N, D)`.
        centres: `(R, N, D)` or `(N, D)`, points that may depend on the data; by default every sample in turn.

    Raises:
        ValueError: if shapes do not fit or there are too few samples or simulations.
    """
    samples, truths = checked(samples, truths)
    S, N, D = samples.shape
    if S < 3 or N < 2:
        raise ValueError(f"mira: {S} samples of {N} simulations; at least 3 of 2 are needed")
    if centres is not None:
        centres = np.asarray(centres).reshape(-1, N, D)
    scores = np.array(
        [
            score_of_truth(samples[:, i], truths[i], None if centres is None else centres[:, i])
            for i in range(N)
        ]
    )
    reference = calibrated_score(S - 2 if centres is None else S - 1)
    error = max(scores.std(ddof=1), LEAST) / np.sqrt(N)
    z = (scores.mean() - reference) / error
    return Mira(float(scores.mean()), float(error), reference, float(z), scores)


def score_of_truth(samples: np.ndarray, truth: np.ndarray, centres: np.ndarray | None) -> float:
    """Mean normalised score of one truth `(D,)` over centres `(R, D)` and radii, given samples `(S, D)`."""
    own = centres is None
    centres = samples if own else centres
    near = cdist(centres, samples)  # (R, S)
    far = cdist(centres, truth[None])  # (R, 1)
    n = near.argsort(1).argsort(1)  # samples strictly nearer than the one that sets the radius
    N = near.shape[1] - 1
    if own:  # the centre itself is no sample: it is the nearest of its row, so every other rank falls by one
        n, N = n - 1, N - 1
    p = np.where(far <= near, n + 1, N - n + 1) / (N + 1)  # (N + 2) / (N + 1) times p(k | n)
    return float(p[~np.eye(len(p), dtype=bool)].mean()) if own else float(p.mean())
