r"""Closure phases: a quantity of three stations that does not depend on their gains.

.. math:: \psi = \arg\left(V_{12}\, V_{23}\, V_{31}\right)

does not change when each :math:`V_{ab}` is multiplied by :math:`g_a \bar g_b`. Images from visibilities that were
calibrated on an image are checked here against visibilities that were never self-calibrated. Among the triangles at one
time, only (baselines - stations + 1) are independent: the triangles with one common station are used, and the noise
that they share enters the covariance :math:`T\, \mathrm{diag}(\sigma_b^2)\, T^\top`, with T the signs of the baselines.

References: Jennison (1958), MNRAS 118, 276; EHT Collaboration (2019), ApJL 875, L3 (systematic error of 2 degrees).
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from .uvfits import Visibilities

__all__ = ["closure_misfit", "closure_phases"]

FLOOR = np.radians(2.0)  # systematic error of a closure phase
STRONG = 3.0  # smallest signal-to-noise ratio of a visibility: below it the error of a phase is not Gaussian


def closure_phases(data: Visibilities, seconds: float = 300.0) -> dict[str, np.ndarray]:
    """Closure phases of visibilities averaged over intervals of `seconds`.

    Returns:
        uv `(K, 3, 2)` of the baselines 12, 23 and 31 (wavelengths); phase `(K,)` and covariance `(K, K)` (radian).
    """
    legs, phases, blocks = [], [], []
    interval = np.floor((data.time - data.time.min()) * 86400 / seconds).astype(int)
    for number in np.unique(interval):
        mean = averaged(data[interval == number])
        rows = {pair: k for k, pair in enumerate(map(tuple, mean.stations.tolist()))}
        sides = {pair: (k, s) for (a, b), k in rows.items() for pair, s in (((a, b), 1), ((b, a), -1))}
        found = triangles(list(sides))
        if not found:
            continue
        T = np.zeros((len(found), len(mean.V)))
        for row, (a, b, c) in enumerate(found):
            turned = [sides[pair] for pair in ((a, b), (b, c), (c, a))]
            for k, sign in turned:
                T[row, k] += sign
            legs.append([sign * mean.uv[k] for k, sign in turned])
            phases.append(sum(sign * np.angle(mean.V[k]) for k, sign in turned))
        variance = 1 / (mean.weights * np.abs(mean.V) ** 2)
        blocks.append((T * variance) @ T.T + FLOOR**2 * np.eye(len(found)))
    covariance = np.zeros((len(phases), len(phases)))
    at = 0
    for block in blocks:
        covariance[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    return {
        "uv": np.array(legs).reshape(-1, 3, 2),
        "phase": np.angle(np.exp(1j * np.array(phases))),
        "covariance": covariance,
    }


def averaged(data: Visibilities) -> Visibilities:
    """Weighted mean visibility of each pair of stations; weak ones and autocorrelations are dropped."""
    order = np.sort(data.stations, 1)
    turned = data.stations[:, 0] > data.stations[:, 1]
    uv = np.where(turned[:, None], -data.uv, data.uv)
    V = np.where(turned, data.V.conj(), data.V)
    pairs, number = np.unique(order, axis=0, return_inverse=True)
    number = number.ravel()
    W = np.bincount(number, data.weights)

    def mean(x):
        return np.bincount(number, data.weights * x) / W

    found = Visibilities(
        np.stack([mean(uv[:, 0]), mean(uv[:, 1])], 1),
        mean(V.real) + 1j * mean(V.imag),
        W,
        mean(data.time),
        pairs,
    )
    return found[(np.abs(found.V) * np.sqrt(W) > STRONG) & (pairs[:, 0] != pairs[:, 1])]


def triangles(pairs: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Triangles that contain the station with most partners; `pairs` holds each baseline in both directions."""
    known, partners = set(pairs), Counter(a for a, _ in pairs)
    if not partners:
        return []
    common = min(partners, key=lambda station: (-partners[station], station))
    others = sorted(b for a, b in pairs if a == common)
    return [(common, b, c) for b in others for c in others if b < c and (b, c) in known]


def closure_misfit(model: np.ndarray, phase: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """r' C^-1 r / K, `(n,)`, of model visibilities `(n, K, 3)` on the baselines; r: phase difference within +-pi."""
    r = np.angle(model.prod(2) * np.exp(-1j * phase))
    return np.einsum("nk,kn->n", r, np.linalg.solve(covariance, r.T)) / len(phase)
