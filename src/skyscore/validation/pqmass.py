"""PQMass: are two sets of images drawn from the same distribution?

Space is divided into the Voronoi cells of reference points drawn from both sets. The counts of both sets in the cells
are compared by Pearson's chi2, averaged over many tessellations. The p-value comes from permutations, the same
statistic with shuffled labels: the chi2 of different tessellations of one pair of sets are correlated, so their mean
does not follow a chi2 distribution. Distances are computed once for all tessellations and shuffles. Tests compare the
chi2 with the `pqm` package.

Reference: Lemos et al. (2024), arXiv:2402.04355.
"""

from __future__ import annotations

import numpy as np

__all__ = ["pqmass"]


def cells(
    points: np.ndarray, references: int, tessellations: int, generator: np.random.Generator
) -> np.ndarray:
    """Number of the cell of each point `(n, D)` in each tessellation, shape `(tessellations, n)`; -1 for references."""
    centred = points - points.mean(0)
    product = centred @ centred.T
    length = product.diagonal()
    assigned = np.empty((tessellations, len(points)), np.int32)
    for row in assigned:
        chosen = generator.choice(len(points), references, replace=False)
        # squared distance up to the length of the point itself
        row[:] = (length[chosen] - 2 * product[:, chosen]).argmin(1)
        row[chosen] = -1
    return assigned


def divides(row: np.ndarray) -> bool:
    """Whether the points are in more than one cell.

    In many dimensions the most central image may attract all points. Such a tessellation contains no information.
    """
    return len(np.unique(row[row >= 0])) > 1


def chi2(assigned: np.ndarray, first: np.ndarray, references: int) -> np.ndarray:
    """Pearson's two-sample chi2 per degree of freedom of each tessellation.

    Arguments:
        assigned: cell of each point, see :func:`cells`.
        first: which points belong to the first set.
        references: number of cells.
    """
    values = np.empty(len(assigned))
    for t, row in enumerate(assigned):
        use = row >= 0
        a = np.bincount(row[use & first], minlength=references).astype(float)
        b = np.bincount(row[use & ~first], minlength=references).astype(float)
        filled = a + b > 0
        a, b = a[filled], b[filled]
        share = a.sum() / (a.sum() + b.sum())
        expected_a, expected_b = share * (a + b), (1 - share) * (a + b)
        value = ((a - expected_a) ** 2 / expected_a).sum() + ((b - expected_b) ** 2 / expected_b).sum()
        values[t] = value / (filled.sum() - 1)
    return values


def pqmass(
    x: np.ndarray,
    y: np.ndarray,
    references: int = 100,
    retessellations: int = 200,
    permutations: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """Compares two sets of images.

    Arguments:
        x, y: shapes `(n, ...)` and `(m, ...)`, images of equal size.
        references: reference points per tessellation, at most a tenth of each set.
        retessellations: number of tessellations; those with all images in one cell are not averaged.
        permutations: shuffles of the labels for the p-value.

    Returns:
        `chi2_dof`: mean over tessellations (1 if the distributions agree); `chi2_dof_error`: its scatter if they agree
        (from the shuffles); `chi2_dof_null`: its mean over the shuffles; `p_value`: fraction of shuffles at least as
        far, `(1 + #) / (1 + permutations)`.

    Raises:
        ValueError: if the images differ in size, are too few for the references, or are not divided by any
            tessellation.
    """
    x, y = (np.asarray(s, np.float64).reshape(len(s), -1) for s in (x, y))
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"pqmass: images of {x.shape[1]} and {y.shape[1]} pixels cannot be compared; give images of equal size"
        )
    if references > 0.1 * (len(x) + len(y)):
        raise ValueError(
            f"pqmass: {references} references need at least {5 * references} images in each set; give more images or "
            "fewer references"
        )
    generator = np.random.default_rng(seed)
    points = np.concatenate([x, y])
    first = np.arange(len(points)) < len(x)
    assigned = cells(points, references, retessellations, generator)
    assigned = assigned[[divides(row) for row in assigned]]
    if not len(assigned):
        raise ValueError(
            f"pqmass: all images are in one cell of each of {retessellations} tessellations; use more references"
        )
    value = chi2(assigned, first, references).mean()
    null = np.array(
        [chi2(assigned, generator.permutation(first), references).mean() for _ in range(permutations)]
    )
    return {
        "chi2_dof": float(value),
        "chi2_dof_error": float(null.std()),
        "chi2_dof_null": float(null.mean()),
        "p_value": float((1 + (null >= value).sum()) / (1 + permutations)),
    }
