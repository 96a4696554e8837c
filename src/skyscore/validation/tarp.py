r"""TARP: do credible regions around random points contain the truth as often as they should?

With reference points :math:`r_i`, the rank of the truth of simulation i among the S posterior samples of its data,

.. math:: j_i = \#\{s : d(r_i, x_{is}) < d(r_i, \theta_i)\}, \qquad
    \mathrm{ECP}(\alpha_k) = \frac{1}{N} \#\{i : j_i \le k\}, \quad \alpha_k = \frac{k + 1}{S + 1}

is uniform on 0 ... S if the samples are draws of the posterior, so E[ECP] = alpha at these alpha exactly, for any S.
(The usual curve of j / S against alpha lies above the diagonal by up to 1 / (S + 1).)

**Reference points** may depend on the data y in any way, but not on the truth given the data. They determine what the
test detects:

* Points drawn independently of y (for instance in a unit cube) cannot distinguish the posterior from the prior, because
  truth and prior draws are then exchangeable.
* An estimate made from y by another method (`references` given by the caller, such as a regularised inversion) lies
  inside the posterior. Samples that are too narrow, too wide, or ignore the data are detected at once.
* A sample of another simulation (`"other"`) lies far away. A mean that follows the data too much or too little is
  detected.
* A point on the line between a held-out sample of the same data and one of another simulation (`"between"`, the default
  if only samples are known) does some of both; it leaves S - 1 samples for the ranks.

The band is that of simulated uniform ranks. At each alpha it is a binomial interval. Its level is such that a curve
leaves it anywhere with probability 1 - level (simultaneous), or at that alpha (pointwise).

**Ancestry.** Particles of one population that descend from the same particle are copies of each other at some level,
and make posteriors look too narrow even if the method is right. With `ancestry`, one sample per ancestor is kept, and
the rank among the S_i < S remaining samples is spread at random over 0 ... S: floor((j + U) (S + 1) / (S_i + 1)), which
is uniform again.

The `tarp` package 0.1.1 agrees with this module for curves that span 0 to 1 (tests). It has these errors: its histogram
spans [min f, max f] instead of [0, 1], so the alpha axis of a bad posterior is wrong; `bootstrap=True` replaces one
simulation at a time, cumulatively, in the caller's own arrays; its alpha is not corrected for finite S; references are
drawn in the unit cube although by default nothing is scaled to it; references given by the caller are not scaled with
the rest by `norm=True`; it needs `tqdm` and `deprecation` without declaring them.

References: Lemos, Coogan et al. (2023), arXiv:2302.03026, algorithm 2; Säilynoja, Bürkner & Vehtari (2022),
arXiv:2103.10522 (simultaneous band of uniform ranks).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["Coverage", "band_of_uniform_ranks", "ranks", "tarp"]


@dataclass
class Coverage:
    """Result of a coverage test with K = S + 1 levels and S samples per simulation.

    Attributes:
        alpha: credibility levels from 0 to 1, shape `(K + 1,)`.
        ecp: fraction of truths inside the regions of these levels, shape `(K + 1,)`.
        band: lower and upper limit of ECP, simultaneous over alpha, `(2, K + 1)`.
        pointwise: lower and upper limit at each alpha by itself, `(2, K + 1)`.
        bootstrap: ECP of simulations drawn with replacement, `(B, K + 1)`.
        ranks: of the truths, 0 ... S, shape `(N,)`.
        deviation: largest |ECP - alpha|.
        mean_deviation: mean of |ECP - alpha| over alpha.
        p_value: probability of a deviation at least as large under uniform ranks (Kolmogorov-Smirnov, discrete).
        inside: whether the curve is inside the simultaneous band everywhere.
        kept: mean number of samples per simulation used for the ranks.
    """

    alpha: np.ndarray
    ecp: np.ndarray
    band: np.ndarray
    pointwise: np.ndarray
    bootstrap: np.ndarray
    ranks: np.ndarray
    deviation: float
    mean_deviation: float
    p_value: float
    inside: bool
    kept: float


def tarp(
    samples: ArrayLike,
    truths: ArrayLike,
    references: ArrayLike | None = None,
    *,
    ancestry: ArrayLike | None = None,
    level: float = 0.99,
    bootstrap: int = 200,
    draws: int = 4000,
    seed: int = 0,
) -> Coverage:
    """Expected coverage of posterior samples, with its null band and p-value.

    Arguments:
        samples: posterior samples `(S, N, D)` of N simulations.
        truths: simulated truths, `(N, D)`, in the same units.
        references: points `(N, D)` that may depend on the data; or "between" (default), "sample" or "other", see the
            module.
        ancestry: label of each sample's ancestor, `(S, N)`, for populations that were resampled.
        level: of the band.
        bootstrap: number of draws of the simulations with replacement.
        draws: number of simulated sets of uniform ranks for band and p-value.
        seed: of references, ties, bootstrap.

    Raises:
        ValueError: if shapes do not fit or a number is not finite.
    """
    samples, truths = checked(samples, truths)
    rng = np.random.default_rng(seed)
    samples, labels, points = with_references(samples, references, ancestry, rng)
    S, N = samples.shape[:2]
    j, kept = ranks(samples, truths, points, rng, labels)
    counts = np.bincount(j, minlength=S + 1)
    alpha, ecp = np.arange(S + 2) / (S + 1), cumulative(counts) / N
    deviation = float(np.abs(ecp - alpha).max())
    null = null_deviations(N, S, draws)
    p = (1 + (null >= deviation - 1e-12).sum()) / (1 + draws)
    if p < 2 / draws:  # below the resolution of the simulation; the continuous law is an upper bound
        from scipy.stats import kstwo  # imported here because it loads slowly and most jobs do not need it

        p = min(p, float(kstwo.sf(deviation, N)))
    simultaneous, pointwise = band_of_uniform_ranks(N, S, level, draws)
    again = rng.multinomial(N, counts / N, size=bootstrap)
    return Coverage(
        alpha,
        ecp,
        simultaneous,
        pointwise,
        cumulative(again) / N,
        j,
        deviation,
        float(np.abs(ecp - alpha).mean()),
        float(p),
        bool(((ecp >= simultaneous[0] - 1e-12) & (ecp <= simultaneous[1] + 1e-12)).all()),
        kept,
    )


def checked(samples: ArrayLike, truths: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (S, N, D) and (N, D); further axes are flattened.

    Raises:
        ValueError: if shapes do not fit or a number is not finite.
    """
    samples, truths = np.asarray(samples), np.asarray(truths)
    if samples.ndim < 3 or truths.shape != samples.shape[1:]:
        raise ValueError(
            f"tarp: samples {samples.shape} and truths {truths.shape} do not fit; give (S, N, D) and (N, D)"
        )
    samples, truths = samples.reshape(*samples.shape[:2], -1), truths.reshape(len(truths), -1)
    if not (np.isfinite(samples).all() and np.isfinite(truths).all()):
        raise ValueError("tarp: samples or truths are not finite; remove these simulations")
    return samples, truths


def with_references(
    samples: np.ndarray,
    references: ArrayLike | None,
    ancestry: ArrayLike | None,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Samples for the ranks, their ancestry, and reference points `(N, D)`; a sample used as reference is left out."""
    S, N, D = samples.shape
    references = "between" if references is None else references
    labels = None if ancestry is None else np.asarray(ancestry)
    if not isinstance(references, str):
        points = np.asarray(references)
        points = points.reshape(len(points), -1)
        if points.shape != (N, D):
            raise ValueError(f"tarp: references have shape {points.shape}; give {(N, D)}")
        return samples, labels, points
    if references not in ("between", "sample", "other"):
        raise ValueError(
            f"tarp: unknown references {references!r}; give an array, 'between', 'sample' or 'other'"
        )
    other = samples[0, np.roll(np.arange(N), 1 + rng.integers(max(N - 1, 1)))]
    if references == "other":
        return samples, labels, other
    if S < 2:
        raise ValueError("tarp: one sample per simulation leaves none besides the reference; give references")
    share = rng.random((N, 1)) if references == "between" else 0.0
    rest = None if labels is None else labels[1:]
    return samples[1:], rest, samples[0] + share * (other - samples[0])


def ranks(
    samples: np.ndarray,
    truths: np.ndarray,
    references: np.ndarray,
    rng: np.random.Generator,
    ancestry: np.ndarray | None = None,
) -> tuple[np.ndarray, float]:
    """Ranks 0 ... S of the truths `(N,)`, and the mean number of samples (of distinct ancestors) used for them."""
    S, N = samples.shape[:2]
    found, kept = np.empty(N, int), np.empty(N)
    for i in range(N):  # one simulation at a time: all distances at once would need a copy of all samples
        chosen = np.arange(S) if ancestry is None else np.unique(ancestry[:, i], return_index=True)[1]
        r = references[i].astype(float)
        near = np.square(samples[chosen, i] - r).sum(1)
        truth = np.square(truths[i] - r).sum()
        j = (near < truth).sum() + rng.integers((near == truth).sum() + 1)  # ties at random
        kept[i] = len(chosen)
        found[i] = j if len(chosen) == S else int((j + rng.random()) * (S + 1) / (len(chosen) + 1))
    return found, float(kept.mean())


def cumulative(counts: np.ndarray) -> np.ndarray:
    """Cumulative counts along the last axis, with a leading zero."""
    return np.concatenate([np.zeros((*counts.shape[:-1], 1)), counts.cumsum(-1)], axis=-1)


@lru_cache(maxsize=16)
def null_curves(N: int, S: int, draws: int) -> np.ndarray:
    """Cumulative counts `(draws, S + 2)` of N uniform ranks on 0 ... S."""
    rng = np.random.default_rng([N, S])
    return cumulative(rng.multinomial(N, np.full(S + 1, 1 / (S + 1)), size=draws))


@lru_cache(maxsize=16)
def null_deviations(N: int, S: int, draws: int) -> np.ndarray:
    """Largest |ECP - alpha| of each set of simulated uniform ranks, `(draws,)`."""
    deviations: np.ndarray = np.abs(null_curves(N, S, draws) / N - np.arange(S + 2) / (S + 1)).max(1)
    return deviations


@lru_cache(maxsize=16)
def band_of_uniform_ranks(N: int, S: int, level: float, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Band of ECP at alpha = 0, 1 / (S + 1), ..., 1, `(2, S + 2)`: simultaneous and pointwise.

    At each alpha, N ECP is binomial. The simultaneous band has the same tail probability at every alpha: the largest
    one for which a fraction `level` of the simulated curves stays inside.
    """
    from scipy.stats import binom

    alpha, curves = np.arange(S + 2) / (S + 1), null_curves(N, S, draws)
    k = np.arange(N + 1)
    below = binom.cdf(k[:, None], N, alpha)  # (N + 1, S + 2)
    above = binom.sf(k[:, None] - 1, N, alpha)
    tail = np.minimum(below, above)
    columns = np.arange(S + 2)
    rarest = tail[curves.astype(int), columns].min(1)
    gamma = np.quantile(rarest, 1 - level, method="lower")

    def limits(probability: float) -> np.ndarray:
        allowed = tail >= probability * (1 - 1e-9)
        return np.stack([allowed.argmax(0), N - allowed[::-1].argmax(0)]) / N

    return limits(gamma), limits((1 - level) / 2)
