"""The tests of one ensemble: S posterior samples of each of N simulations, compared with their truths.

Each function returns flat numbers by name (as in numbers.json after `<problem>/<sampler>/`) and, for figures, the
curves behind them. Images are `(N, S, C, H, W)` and `(N, C, H, W)`, in prior units.

The coverage test uses two kinds of reference points, both of which depend on the data (:mod:`skyscore.validation.tarp`
explains what each detects): "data", an estimate from the data alone (`estimates` of a problem), and "other", a
posterior sample of another simulation. A joint band of 99 % for both is one of 99.5 % for each.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .mira import mira
from .pqmass import pqmass
from .tarp import tarp
from .z_scores import (
    common_bias,
    error_of_mean,
    errors_by_scale,
    fourier_bands,
    lag_correlation,
    pixel_groups,
    signal_bands,
)

__all__ = [
    "by_origin",
    "coverage_of",
    "mira_of",
    "moments_of",
    "noise_residuals_of",
    "pooled_of",
    "residuals_of",
    "signal_to_noise",
]

REFERENCES = ("data", "other")
LEVEL = 0.99  # of the joint band of all reference points
POOLED = 256  # smallest number of simulations for a test of pooled samples against the prior
RESIDUALS = 40  # smallest number of residuals for a test against held-out noise
UNCORRELATED = 3  # number of lags at which residuals are tested


def signal_to_noise(V: np.ndarray, s: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Signal-to-noise ratio `(K,)` of the coefficients along V: s times their standard deviation over draws of the
    prior.
    """
    return s * (draws @ V).std(0)


def by_origin(drawn: int, total: int) -> list[tuple[str, slice]]:
    """Name prefix and slice of the truths drawn from the prior (the first `drawn`) and of the held-out ones, if any."""
    parts = [("", slice(0, drawn)), ("held_out_", slice(drawn, total))]
    return [(prefix, part) for prefix, part in parts if part.stop > part.start]


def by_simulation(samples: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(S, N, D) and (N, D) from (N, S, ...) and (N, ...)."""
    N, S = samples.shape[:2]
    return samples.reshape(N, S, -1).swapaxes(0, 1), truths.reshape(N, -1)


def coverage_of(
    samples: np.ndarray,
    truths: np.ndarray,
    estimates: np.ndarray,
    ancestry: np.ndarray | None = None,
    seed: int = 0,
) -> tuple[dict[str, float], dict[str, dict]]:
    """TARP with both kinds of reference points.

    Arguments:
        estimates: made from the data alone, shape of truths.
        ancestry: label of each sample's ancestor `(N, S)`, or None.

    Returns:
        Numbers: `tarp_deviation` (the larger one), `tarp_p` (the smaller one times their number), `tarp_inside` (1 if
            both
        curves are inside their bands), and for each kind `tarp_<kind>_deviation`, `_mean_deviation`, `_p`. Curves by
        kind.
    """
    x, theta = by_simulation(samples, truths)
    labels = None if ancestry is None else ancestry.T
    level = 1 - (1 - LEVEL) / len(REFERENCES)
    found: dict[str, Any] = {}
    curves: dict[str, Any] = {}
    results = {
        "data": tarp(x, theta, estimates.reshape(theta.shape), ancestry=labels, level=level, seed=seed),
        "other": tarp(x, theta, "other", ancestry=labels, level=level, seed=seed),
    }
    for kind, result in results.items():
        found |= {
            f"tarp_{kind}_deviation": result.deviation,
            f"tarp_{kind}_mean_deviation": result.mean_deviation,
            f"tarp_{kind}_p": result.p_value,
        }
        spread = np.quantile(result.bootstrap, [0.16, 0.84], axis=0)
        names = ("alpha", "ecp", "band", "pointwise", "ranks")
        curves[kind] = {name: getattr(result, name) for name in names} | {"bootstrap": spread}
    best = {
        "tarp_deviation": max(r.deviation for r in results.values()),
        "tarp_p": min(1.0, len(results) * min(r.p_value for r in results.values())),
        "tarp_inside": int(all(r.inside for r in results.values())),
        "tarp_samples_kept": min(r.kept for r in results.values()),
    }
    return best | found, curves


def mira_of(samples: np.ndarray, truths: np.ndarray) -> dict[str, float]:
    """Two-sided MIRA around every sample in turn: `mira_score`, `mira_reference`, `mira_error`, `mira_z`."""
    x, theta = by_simulation(samples, truths)
    result = mira(x, theta)
    names = ("score", "reference", "error", "z")
    return {f"mira_{name}": getattr(result, name) for name in names}


def moments_of(
    samples: np.ndarray,
    truths: np.ndarray,
    V: np.ndarray | None = None,
    snr: np.ndarray | None = None,
    spread: np.ndarray | None = None,
) -> dict[str, float]:
    """Mean squared z, errors of the posterior mean, and common bias.

    Arguments:
        V: singular vectors `(D, K)`; None for images too large to have them.
        snr: signal-to-noise ratios along V (:func:`signal_to_noise`).
        spread: the prior's standard deviation of each pixel, `(D,)`.

    Returns:
        `z2` over pixels, `z2_faint` and `z2_bright` over the halves of the pixels by `spread`, `z2_k<low>` by Fourier
        band, `z2_snr_<band>` along V, each with `_error`; `error_of_mean`, of posterior means over that of the prior's
        mean, with `_error`, and `error_of_mean_k<low>` by Fourier band; `common_bias` and `common_bias_p`.
    """
    x, theta = by_simulation(samples, truths)
    found = {"error_of_mean": error_of_mean(x, theta)} | pixel_groups(x, theta, spread)
    images = samples.swapaxes(0, 1)
    found |= {f"error_of_mean_{name}": value for name, value in errors_by_scale(images, truths).items()}
    found |= {f"z2_{name}": value for name, value in fourier_bands(images, truths).items()}
    if V is not None and snr is not None:
        found |= {f"z2_{name}": value for name, value in signal_bands(x, theta, V, snr).items()}
    numbers: dict[str, float] = {}
    for name, (value, error) in found.items():
        numbers |= {name: value, f"{name}_error": error}
    bias, p = common_bias(x, theta)
    return numbers | {"common_bias": bias, "common_bias_p": p}


def residuals_of(chi2: np.ndarray, whitened: np.ndarray) -> dict[str, float]:
    """Fit of posterior samples to the data they were drawn for, under a known noise law.

    Arguments:
        chi2: r' Sigma^-1 r / M of every sample, `(N, S)`.
        whitened: Sigma^-1/2 r of one sample per simulation, `(N, M)`.

    Returns:
        `chi2_mean`; `chi2_mean_error` over simulations; `chi2_allowed`, 3 sqrt(2 / M); `whiteness_z`, the lag
        correlation farthest from zero in standard errors.
    """
    z = lag_correlation(whitened, min(UNCORRELATED, whitened.shape[1] - 1))
    return {
        "chi2_mean": float(chi2.mean()),
        "chi2_mean_error": float(chi2.mean(1).std(ddof=1) / np.sqrt(len(chi2))),
        "chi2_allowed": float(3 * np.sqrt(2 / whitened.shape[1])),
        "whiteness_z": float(z[np.abs(z).argmax()]),
    }


def noise_residuals_of(residuals: np.ndarray, held_out: np.ndarray, seed: int = 0) -> dict[str, float]:
    """PQMass of the residuals of one posterior sample per simulation `(N, ...)` against held-out noise `(n, ...)`.

    Used for learned noise. Empty for fewer than 40 residuals, where the cells would hold too few.

    Returns:
        `pqmass_residual_chi2_dof`, `pqmass_residual_p`.
    """
    if len(residuals) < RESIDUALS:
        return {}
    result = pqmass(residuals, held_out, references=len(residuals) // 10, seed=seed)
    return {"pqmass_residual_chi2_dof": result["chi2_dof"], "pqmass_residual_p": result["p_value"]}


def pooled_of(samples: np.ndarray, draws: np.ndarray, seed: int = 0) -> dict[str, float]:
    """PQMass of one posterior sample per simulation `(N, S, ...)` against draws of the prior `(n, ...)`.

    If the truths are drawn from the prior, the mixture of the posteriors is the prior. Empty for fewer than 256
    simulations, where the cells would hold too few.

    Returns:
        `pqmass_pooled_chi2_dof`, `pqmass_pooled_p`.
    """
    if len(samples) < POOLED:
        return {}
    result = pqmass(samples[:, 0], draws, references=len(samples) // 10, seed=seed)
    return {"pqmass_pooled_chi2_dof": result["chi2_dof"], "pqmass_pooled_p": result["p_value"]}
