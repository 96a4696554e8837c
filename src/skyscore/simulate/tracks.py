r"""Baselines of an interferometer: antennas on the ground, and the tracks of their baselines in the uv plane.

A baseline (E, N, U) in metres at latitude :math:`\phi` has, along the axes of the equator, the components

.. math:: X = U \cos\phi - N \sin\phi, \quad Y = E, \quad Z = U \sin\phi + N \cos\phi

and, at hour angle H of a source of declination :math:`\delta`, in wavelengths,

.. math:: u = (X \sin H + Y \cos H) / \lambda, \qquad
    v = (-X \sin\delta \cos H + Y \sin\delta \sin H + Z \cos\delta) / \lambda

Each pair of antennas is one baseline, counted once (its conjugate is not a new datum). Autocorrelations are excluded.

References: Thompson, Moran & Swenson (2017), Interferometry and Synthesis in Radio Astronomy, eq. 4.1 (coordinates)
and its radiometer equation (noise); Conway (1998), ALMA memo 216 (self-similar spirals).
"""

from __future__ import annotations

import math

import numpy as np

from skyscore.units import SPEED_OF_LIGHT

__all__ = ["spiral_array", "thermal_noise", "uv_tracks"]

MIN_ELEVATION = math.radians(15.0)  # below it antennas shadow each other and the air mass is large


def spiral_array(
    antennas: int, longest: float, shortest: float = 15.0, arms: int = 3, seed: int = 0
) -> np.ndarray:
    """Positions (E, N, U) in metres, shape `(antennas, 3)`, on logarithmic spirals, scattered by a tenth of the radius.

    Arguments:
        longest: longest baseline (m); the array is scaled at the end to match it exactly.
        shortest: smallest distance of two antennas before that scaling (m), so that dishes do not touch.

    Raises:
        ValueError: for fewer than 3 antennas, or if there is no room for them.
    """
    if antennas < 3:
        raise ValueError(f"spiral_array: {antennas} antennas are too few for an image; use 3 or more")
    g = np.random.default_rng(seed)
    r = 0.5 * longest * (shortest / longest) ** np.linspace(0.6, 0, antennas)
    angle = 2.0 * np.log(r / r[0]) + 2 * np.pi * (np.arange(antennas) % arms) / arms
    ideal = np.stack((r * np.cos(angle), r * np.sin(angle)), 1)
    placed = np.empty((0, 2))
    for point, radius in zip(ideal, r, strict=True):
        spread = max(0.1 * radius, 0.5 * shortest)
        free = (point + spread * g.standard_normal(2) for _ in range(1000))
        place = next((p for p in free if np.hypot(*(placed - p).T).min(initial=np.inf) >= shortest), None)
        if place is None:
            raise ValueError(
                f"spiral_array: no room for {antennas} antennas {shortest:g} m apart; raise the longest baseline"
            )
        placed = np.concatenate((placed, place[None]))
    baselines = placed[:, None] - placed[None]
    placed *= longest / np.hypot(*baselines.transpose(2, 0, 1)).max()
    return np.concatenate((placed, np.zeros((antennas, 1))), 1)


def uv_tracks(
    positions: np.ndarray, latitude: float, declination: float, hour_angles: np.ndarray, frequency: float
) -> np.ndarray:
    """Baselines (u, v) in wavelengths, shape `(M, 2)`, sorted by hour angle.

    Arguments:
        positions: of the antennas (E, N, U), metres, shape `(A, 3)`.
        latitude, declination: (degrees).
        hour_angles: (hours); those at which the source is lower than 15 degrees are dropped.
        frequency: (GHz).

    Raises:
        ValueError: if the source is never high enough.
    """
    phi, delta = math.radians(latitude), math.radians(declination)
    H = np.asarray(hour_angles, dtype=float) * np.pi / 12
    sine = math.sin(phi) * math.sin(delta) + math.cos(phi) * math.cos(delta) * np.cos(H)
    H = H[sine >= math.sin(MIN_ELEVATION)]
    if not len(H):
        raise ValueError(
            f"uv_tracks: a source at declination {declination:g} never rises to 15 degrees at these hour angles; "
            "change declination, latitude or hour_angles"
        )
    first, second = np.triu_indices(len(positions), 1)
    E, N, U = (positions[second] - positions[first]).T
    X, Y, Z = U * math.cos(phi) - N * math.sin(phi), E, U * math.sin(phi) + N * math.cos(phi)
    s, c = np.sin(H)[:, None], np.cos(H)[:, None]
    u = X * s + Y * c
    v = -X * math.sin(delta) * c + Y * math.sin(delta) * s + Z * math.cos(delta)
    return np.stack((u, v), -1).reshape(-1, 2) * frequency * 1e9 / SPEED_OF_LIGHT


def thermal_noise(
    sefd: float, bandwidth: float, seconds: float, polarisations: int = 2, efficiency: float = 0.88
) -> float:
    r"""Standard deviation (Jy) of the real, and of the imaginary, part of one visibility.

    It is :math:`\mathrm{SEFD} / (\eta \sqrt{2 \, n_p \, \Delta\nu \, t})`.

    Arguments:
        sefd: system equivalent flux density of one antenna (Jy).
        bandwidth: (GHz).
        seconds: integration time.
        polarisations: number n_p of polarisations.
        efficiency: of the correlator.
    """
    return sefd / (efficiency * math.sqrt(2 * polarisations * bandwidth * 1e9 * seconds))
