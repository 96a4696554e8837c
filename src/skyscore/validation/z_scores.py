r"""Mean squared z-scores: are posterior samples as far from their mean as the truth is? By pixel, scale and signal.

For draws of the posterior, the truth :math:`\theta_i` is exchangeable with the S samples of simulation i, for any law.
Among the squared distances to the mean :math:`\bar p_i` of all S + 1, it therefore has the share

.. math:: h_i = \frac{|\theta_i - \bar p_i|^2}{|\theta_i - \bar p_i|^2 + \sum_j |x_{ij} - \bar p_i|^2}, \qquad
    E[h_i] = \frac 1{S + 1}, \qquad z^2 = \frac{S \, \bar h}{1 - \bar h}

with :math:`\bar h` the mean over simulations. z^2 is 1 for samples of the posterior. It equals the squared errors over
those expected from the samples' variances if each simulation has many independent coordinates. Above 1, samples are too
narrow or biased; below 1, too wide. The expectation of the share is exact at any S, for any law. A share is bounded, so
no single simulation dominates. (The ratio of the sums over simulations has the same expectation up to O(1/N). But where
light is a rare event, such as a companion in a corner without data, the few simulations that have some dominate that
ratio, and its standard error does not include simulations that were not drawn. A test compares both.) Standard errors
are those of a mean over simulations, the only independent units.

Groups: all pixels; the half of the pixels in which the prior varies less, and the other half; Fourier bands of wave
number k = 0-2, 2-4, 4-8, ... cycles per image; singular vectors by the signal-to-noise ratio of their coefficient, s
times the prior's standard deviation along it: below 1/3 (the prior dominates), 1/3 to 3 (where approximations of the
likelihood have the largest errors), above 3 (the data dominate). Distances are summed over pixels without weights.
Fourier modes and singular vectors differ strongly in power, so each is divided by its own sum over all simulations and
their S + 1 images; this sum does not change when truth and sample are exchanged.

`common_bias` is :math:`N |\bar e|^2 / \overline{|e|^2}` of the errors :math:`e_i = \theta_i - \bar x_i`. It is 1 if the
errors of the simulations have nothing in common; its p-value uses random signs of the e_i (their law is assumed to be
symmetric).

This module also tests residuals of posterior *samples*. A sample and the data have the same joint law as truth and
data, so the whitened residual of one sample per simulation is white unit noise, exactly: its chi2 per datum has mean 1,
without correction for fitted parameters, and neighbouring data are uncorrelated.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

__all__ = [
    "common_bias",
    "error_of_mean",
    "errors_by_scale",
    "fourier_bands",
    "lag_correlation",
    "mean_squared_z",
    "pixel_groups",
    "signal_bands",
]

FEW = 4  # smallest number of vectors in a band


def mean_squared_z(
    samples: np.ndarray, truths: np.ndarray, standardised: bool = False
) -> tuple[float, float]:
    """z^2 and its standard error for coordinates taken together.

    Simulations and coordinates in which neither truth nor samples vary (masked pixels) are ignored.

    Arguments:
        samples: `(S, N, D)`, real or complex.
        truths: `(N, D)`, real or complex.
        standardised: whether all coordinates have the same weight.

    Raises:
        ValueError: for fewer than two samples.
    """
    S = len(samples)
    if S < 2:
        raise ValueError("mean squared z needs at least two samples per simulation; draw more samples")
    centre = (samples.sum(0) + truths) / (S + 1)
    own = np.abs(truths - centre) ** 2
    total = own + sum(np.abs(x - centre) ** 2 for x in samples)
    if standardised:
        weight = total.sum(0)
        own, total = (np.divide(d, weight, out=np.zeros_like(d), where=weight > 0) for d in (own, total))
    own, total = own.sum(1), total.sum(1)
    share = own[total > 0] / total[total > 0]
    if len(share) == 0:
        return 1.0, 0.0  # nothing varies
    h, error = share.mean(), share.std(ddof=1) / np.sqrt(len(share)) if len(share) > 1 else 0.0
    h = min(h, 1 - 1e-9)  # for samples without any spread
    return float(S * h / (1 - h)), float(S * error / (1 - h) ** 2)


def error_of_mean(samples: np.ndarray, truths: np.ndarray) -> tuple[float, float]:
    r"""Root mean square error of posterior means over that of the mean of all truths, and its standard error.

    It is 0 if the data determine everything and 1 if they contain no information. The mean of S samples has the error
    of the posterior mean plus its own scatter; the scatter, :math:`\sum_j |x_{ij} - \bar x_i|^2 / S (S - 1)`, is
    subtracted.

    Arguments:
        samples: `(S, N, D)`.
        truths: `(N, D)`.
    """
    S, N = len(samples), len(truths)
    mean = samples.mean(0)
    scatter = ((samples - mean) ** 2).sum((0, 2)) / (S * (S - 1))
    left = ((mean - truths) ** 2).sum(1) - scatter
    all_of = ((truths - truths.mean(0)) ** 2).sum(1) * N / (N - 1)
    share = left.sum() / all_of.sum()
    value = float(np.sqrt(max(share, 0.0)))
    # error of a ratio of sums over simulations, to first order, and then of its square root
    error = np.std(left - share * all_of, ddof=1) / np.sqrt(N) / all_of.mean()
    return value, float(error / (2 * value)) if value > 0 else 0.0


def pixel_groups(
    samples: np.ndarray, truths: np.ndarray, spread: np.ndarray | None = None
) -> dict[str, tuple[float, float]]:
    """z^2 and its error over all pixels, `z2`, and over two halves of them, `z2_faint` and `z2_bright`.

    Arguments:
        samples: `(S, N, D)`.
        truths: `(N, D)`.
        spread: the prior's standard deviation of each pixel `(D,)`, whose median divides the halves; None for no
            halves.
    """
    found = {"z2": mean_squared_z(samples, truths)}
    if spread is None:
        return found
    bright = spread > np.median(spread)
    halves = {"z2_faint": ~bright, "z2_bright": bright}
    return found | {
        name: mean_squared_z(samples[..., half], truths[:, half]) for name, half in halves.items()
    }


def waves_by_scale(samples: np.ndarray, truths: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name and Fourier modes `(S, N, K)` and `(N, K)` of each band of wave number.

    The bands are named `k0`, `k2`, `k4`, ... by their lower end, in cycles per image.

    Arguments:
        samples: `(S, N, C, H, W)`.
        truths: `(N, C, H, W)`.
    """
    H, W = truths.shape[-2:]
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(H, 1 / H), np.fft.fftfreq(W, 1 / W), indexing="ij"))
    waves, true_waves = np.fft.fft2(samples), np.fft.fft2(truths)
    ends = [0, *2 ** np.arange(1, int(np.log2(max(H, W) / 2)) + 1), np.inf]
    for low, high in pairwise(ends):
        band = (k >= low) & (k < high)
        modes, true_modes = waves[..., band], true_waves[..., band]
        yield f"k{low}", modes.reshape(*modes.shape[:2], -1), true_modes.reshape(len(true_modes), -1)


def fourier_bands(samples: np.ndarray, truths: np.ndarray) -> dict[str, tuple[float, float]]:
    """z^2 and its error by band of wave number, see :func:`waves_by_scale`."""
    bands = waves_by_scale(samples, truths)
    return {name: mean_squared_z(modes, true, standardised=True) for name, modes, true in bands}


def errors_by_scale(samples: np.ndarray, truths: np.ndarray) -> dict[str, tuple[float, float]]:
    """:func:`error_of_mean` by band of wave number: below 1 where power is recovered."""
    bands = waves_by_scale(samples, truths)
    return {name: error_of_mean(parts(modes), parts(true)) for name, modes, true in bands}


def parts(z: np.ndarray) -> np.ndarray:
    """Real and imaginary parts side by side, `(..., 2 K)`."""
    return np.concatenate([z.real, z.imag], axis=-1)


def signal_bands(
    samples: np.ndarray, truths: np.ndarray, V: np.ndarray, snr: np.ndarray
) -> dict[str, tuple[float, float]]:
    """z^2 and its error along the singular vectors V `(D, K)`, by signal-to-noise ratio.

    Keys `snr_low`, `snr_one`, `snr_high`; a band with fewer than four vectors is omitted.

    Arguments:
        samples: `(S, N, D)`.
        truths: `(N, D)`.
        snr: `(K,)`, not measured on these truths, because that would sort vectors by the chance scatter of the truths.
    """
    along, true_along = samples @ V, truths @ V
    bands = {"snr_low": snr < 1 / 3, "snr_one": (snr >= 1 / 3) & (snr <= 3), "snr_high": snr > 3}
    return {
        name: mean_squared_z(along[..., band], true_along[:, band], standardised=True)
        for name, band in bands.items()
        if band.sum() >= FEW
    }


def common_bias(
    samples: np.ndarray, truths: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """N |mean error|^2 / mean |error|^2 over simulations, and its p-value.

    Arguments:
        samples: `(S, N, D)`.
        truths: `(N, D)`.
        draws: number of random sign patterns for the p-value.
    """
    error = truths - samples.mean(0)
    gram, N = error @ error.T, len(error)
    total = max(np.trace(gram), 1e-300)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, N))
    null = np.einsum("bi,ij,bj->b", signs, gram, signs, optimize=True)
    return float(gram.sum() / total), float((1 + (null >= gram.sum()).sum()) / (1 + draws))


def lag_correlation(whitened: np.ndarray, lags: int = 3) -> np.ndarray:
    """Correlation of whitened residuals `(N, M)` at lags 1 ... `lags` along the data vector, in standard errors,
    `(lags,)`.

    The standard error under independence is 1 / sqrt(N (M - lag)), so white residuals give standard normal values.
    """
    w = whitened - whitened.mean()
    power = np.square(w).mean()
    return np.array(
        [(w[:, lag:] * w[:, :-lag]).sum() / power / np.sqrt(w[:, lag:].size) for lag in range(1, lags + 1)]
    )
