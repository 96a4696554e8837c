r"""Are posterior samples as far from their mean as the truth is? Mean squared z-scores, by pixel, scale and signal.

For draws of the posterior the truth is one more of them, whatever the law: with sample mean :math:`\bar x_i` and
unbiased sample variance :math:`v_i` of the S samples of simulation i,

.. math:: E[(\theta_i - \bar x_i)^2] = (1 + 1/S) \, E[v_i], \qquad
    z^2 = \frac{\sum_i (\theta_i - \bar x_i)^2}{(1 + 1/S) \sum_i v_i}

for each coordinate (a Fourier mode, a singular vector of the whitened operator), then averaged over the coordinates
of a group. The ratio of sums is 1 up to O(1/N) for any posterior, O(1/N^2) by jackknife. The mean of single ratios
would be (1 + 1/S) (S - 1) / (S - 3) for Gaussian posteriors and something else for others, and it scatters more at
small S. Pixels are summed over too, :math:`z^2 = \sum_{ij} / \sum_{ij}`: in a dark corner light is a rare event, one
pixel's sums over simulations hold one or two of them or none, and the mean over pixels of such ratios scatters several
times more than the ratio of all sums (a test holds both).
Above 1, samples are too narrow or off the truth; below, too wide.

Standard errors are by jackknife over simulations, the only independent unit.

Groups: all pixels; the half of them in which the prior varies less, and the other half; Fourier bands of wave number
k = 0-2, 2-4, 4-8, ... cycles per image; singular vectors by the signal-to-noise ratio of their coefficient, s times the
prior's standard deviation along it: below 1/3 (the prior decides), 1/3 to 3 (where approximations of the likelihood err
most), above 3 (the data decide).

`common_bias` is :math:`N |\bar e|^2 / \overline{|e|^2}` of the errors :math:`e_i = \theta_i - \bar x_i`, 1 if
simulations have no error in common; its p-value is by random signs of the e_i (two-sided laws are assumed).

Also here: what residuals of posterior *samples* must be. A sample and the data are jointly distributed as truth and
data, so that the whitened residual of one sample per simulation is white unit noise, exactly: its chi2 per datum has
mean 1, with no allowance for fitted parameters, and neighbouring data are uncorrelated.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

__all__ = [
    "common_bias",
    "fourier_bands",
    "lag_correlation",
    "mean_squared_z",
    "pixel_groups",
    "pooled_squared_z",
    "signal_bands",
    "z_ratio",
]

FEW = 4  # vectors in a band
MANY = 10  # simulations from which on the jackknife's estimate of a bias is better than none


def z_ratio(samples: np.ndarray, truths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numerator and denominator of z^2 for each simulation and coordinate, `(N, D)` each, real or complex input.

    Arguments:
        samples: `(S, N, D)`; truths: `(N, D)`.

    Raises:
        ValueError: for fewer than two samples.
    """
    S = len(samples)
    if S < 2:
        raise ValueError("mean squared z needs at least two samples per simulation")
    mean = samples.mean(0)
    above = np.abs(truths - mean) ** 2
    below = (1 + 1 / S) / (S - 1) * sum(np.abs(x - mean) ** 2 for x in samples)
    return above, below


def mean_squared_z(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """Mean over coordinates of the ratio of sums over simulations, and its standard error, both by jackknife.

    Coordinates in which neither truth nor samples vary (a masked pixel) are left out.

    Arguments:
        above, below: as by :func:`z_ratio`, `(N, D)`.
    """
    use = (above.sum(0) > 0) | (below.sum(0) > 0)
    above, below = above[:, use], below[:, use]
    floor = 1e-12 * below.sum() / max(use.sum(), 1) + 1e-300
    top, bottom, N = above.sum(0), below.sum(0), len(above)
    value = (top / (bottom + floor)).mean()
    without = np.array([((top - a) / (bottom - b + floor)).mean() for a, b in zip(above, below, strict=True)])
    if N >= MANY:  # less the bias of a ratio of sums, to O(1 / N^2)
        value = N * value - (N - 1) * without.mean()
    return float(value), float(np.sqrt((N - 1) / N * np.square(without - without.mean()).sum()))


def pooled_squared_z(above: np.ndarray, below: np.ndarray) -> tuple[float, float]:
    """The ratio of sums over simulations and coordinates, and its standard error, both by jackknife."""
    return mean_squared_z(above.sum(1, keepdims=True), below.sum(1, keepdims=True))


def pixel_groups(
    samples: np.ndarray, truths: np.ndarray, spread: np.ndarray | None = None
) -> dict[str, tuple[float, float]]:
    """z^2 and its error over all pixels, `z2`, and over halves of them, `z2_faint` and `z2_bright`.

    Arguments:
        samples: `(S, N, D)`; truths: `(N, D)`.
        spread: the prior's standard deviation of each pixel `(D,)`, whose median parts the halves; None for no halves.
    """
    above, below = z_ratio(samples, truths)
    found = {"z2": pooled_squared_z(above, below)}
    if spread is None:
        return found
    bright = spread > np.median(spread)
    halves = {"z2_faint": ~bright, "z2_bright": bright}
    return found | {name: pooled_squared_z(above[:, half], below[:, half]) for name, half in halves.items()}


def fourier_bands(samples: np.ndarray, truths: np.ndarray) -> dict[str, tuple[float, float]]:
    """z^2 and its error by band of wave number, of images `(S, N, C, H, W)` and `(N, C, H, W)`.

    Keys `k0`, `k2`, `k4`, ...: lower end of the band, in cycles per image.
    """
    H, W = truths.shape[-2:]
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(H, 1 / H), np.fft.fftfreq(W, 1 / W), indexing="ij"))
    above, below = z_ratio(np.fft.fft2(samples, norm="ortho"), np.fft.fft2(truths, norm="ortho"))
    ends, found = [0, *2 ** np.arange(1, int(np.log2(max(H, W) / 2)) + 1), np.inf], {}
    for low, high in pairwise(ends):
        band = (k >= low) & (k < high)
        found[f"k{low}"] = mean_squared_z(
            above[..., band].reshape(len(above), -1), below[..., band].reshape(len(below), -1)
        )
    return found


def signal_bands(
    samples: np.ndarray, truths: np.ndarray, V: np.ndarray, snr: np.ndarray
) -> dict[str, tuple[float, float]]:
    """z^2 and its error along the singular vectors V `(D, K)`, by signal-to-noise ratio.

    Arguments:
        samples: `(S, N, D)`; truths: `(N, D)`.
        snr: `(K,)`, not measured on these truths: that would sort vectors by the truths' chance scatter.

    Keys `snr_low`, `snr_one`, `snr_high`; a band of fewer than four vectors is left out.
    """
    above, below = z_ratio(samples @ V, truths @ V)
    bands = {"snr_low": snr < 1 / 3, "snr_one": (snr >= 1 / 3) & (snr <= 3), "snr_high": snr > 3}
    return {
        name: mean_squared_z(above[:, band], below[:, band])
        for name, band in bands.items()
        if band.sum() >= FEW
    }


def common_bias(
    samples: np.ndarray, truths: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """N |mean error|^2 / mean |error|^2 over simulations, and its p-value; `(S, N, D)` and `(N, D)`."""
    error = truths - samples.mean(0)
    gram, N = error @ error.T, len(error)
    total = max(np.trace(gram), 1e-300)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, N))
    null = np.einsum("bi,ij,bj->b", signs, gram, signs, optimize=True)
    return float(gram.sum() / total), float((1 + (null >= gram.sum()).sum()) / (1 + draws))


def lag_correlation(whitened: np.ndarray, lags: int = 3) -> np.ndarray:
    """Correlation of whitened residuals `(N, M)` with those 1 ... lags places further along the data vector, over its
    standard error under independence 1 / sqrt(N (M - lag)); shape `(lags,)`, standard normal if they are white."""
    w = whitened - whitened.mean()
    power = np.square(w).mean()
    return np.array(
        [(w[:, lag:] * w[:, :-lag]).sum() / power / np.sqrt(w[:, lag:].size) for lag in range(1, lags + 1)]
    )
