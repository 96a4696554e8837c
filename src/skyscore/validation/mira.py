r"""MIRA, a two-sided test: does a region chosen by the posterior contain the truth as often as the posterior predicts?

Around a centre c, a sample x_b sets a radius. With n of the N other samples inside and k = 1 if the truth is inside,

.. math:: p(k \mid n) = \frac{n + 1}{N + 2} \ (k = 1), \quad \frac{N - n + 1}{N + 2} \ (k = 0), \qquad
    \text{score} = \frac{N + 2}{N + 1} \, \langle p \rangle

For draws of the posterior n is uniform and P(k = 1 | n) = (n + 1) / (N + 2), so the score is
:math:`(2 N + 3) / (3 (N + 1))`, 2/3 for many samples. **This value is not a maximum**: samples that are too widely
spread score above it. The deviation is therefore tested on both sides, in standard errors. These are the standard
deviation over truths of the centre-averaged score, divided by the square root of the number of truths, because centres
and radii of one truth are not independent trials.

Every sample sets the radius in turn (the mean over the random choice of the original). Centres may depend on the data;
:mod:`skyscore.validation.tarp` explains what each choice can detect. By default each sample is the centre in turn,
which leaves N = S - 2.

The `mira_score` package 0.1.7 gives the same mean for the same centres (tests). It has these errors: with
`reference_choice` it fails (an undefined variable); its centres are uniform in the unit cube, but by default nothing is
scaled to that cube; the standard deviation it returns is over repetitions for the same truths, not over truths; and it
states that higher is better.

The score cannot detect everything: it falls again when samples are so widely spread that every truth lies inside every
region, so one intermediate width scores like a calibrated one. Coverage and moments are therefore tested as well.

Reference: Sharief, Zeghal, Barco, Lemos, Hezaveh & Perreault-Levasseur (2026), arXiv:2605.02014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from .tarp import checked

__all__ = ["Mira", "calibrated_score", "mira"]

# smallest scatter, a tenth of that of a calibrated score: if all truths score alike, the measured scatter is too small
LEAST = 0.1 / np.sqrt(18)


@dataclass
class Mira:
    """Result of the test.

    Attributes:
        score: mean over truths.
        error: standard error of the score.
        reference: score of a calibrated posterior with as many samples.
        z: (score - reference) / error, positive where samples are too widely spread.
        per_truth: score of each truth, mean over centres and radii, shape `(N,)`.
    """

    score: float
    error: float
    reference: float
    z: float
    per_truth: np.ndarray


def calibrated_score(N: int) -> float:
    """Expected normalised score of a calibrated posterior with N samples besides the one that sets the radius."""
    return (2 * N + 3) / (3 * (N + 1))


def mira(samples: ArrayLike, truths: ArrayLike, centres: ArrayLike | None = None) -> Mira:
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
        raise ValueError(
            f"mira: {S} samples of {N} simulations are too few; give at least 3 samples of 2 simulations"
        )
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
    n = near.argsort(1).argsort(1)  # number of samples strictly nearer than the one that sets the radius
    N = near.shape[1] - 1
    if own:  # the centre is not counted as a sample: it is the nearest of its row, so other ranks fall by one
        n, N = n - 1, N - 1
    p = np.where(far <= near, n + 1, N - n + 1) / (N + 1)  # (N + 2) / (N + 1) times p(k | n)
    return float(p[~np.eye(len(p), dtype=bool)].mean()) if own else float(p.mean())
