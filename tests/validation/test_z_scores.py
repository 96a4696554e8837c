"""Mean squared z: unbiased for any law and few samples, its error, its bands; residuals of samples are white noise."""

import numpy as np
import pytest

from skyscore.baselines.wiener import linear_estimate
from skyscore.validation.ensemble import moments_of, residuals_of
from skyscore.validation.z_scores import (
    common_bias,
    fourier_bands,
    lag_correlation,
    mean_squared_z,
    pixel_groups,
    signal_bands,
)
from tests.helpers.closed_forms import toy


@pytest.mark.parametrize("law", ["gaussian", "skewed"])
@pytest.mark.parametrize("S", [3, 16])
def test_unbiased_for_few_samples_of_any_law(law, S):
    values, errors = [], []
    for seed in range(60):
        g = np.random.default_rng(seed)
        scale = np.exp(0.5 * g.standard_normal((64, 1)))  # simulations of unlike width
        draw = g.standard_normal if law == "gaussian" else lambda size, g=g: g.standard_gamma(1.0, size)
        value, error = mean_squared_z(
            scale * draw((S, 64, 32)), scale * draw((64, 32)), standardised=bool(seed % 2)
        )
        values.append(value)
        errors.append(error)
    assert np.mean(values) == pytest.approx(1, abs=4 * np.std(values) / np.sqrt(60) + 0.005)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.35)


def rare(seed, shape):
    """Exchangeable draws of light that is seldom there: one in 50 of the first half of the pixels."""
    g = np.random.default_rng(seed)
    chance = np.where(np.arange(shape[-1]) < shape[-1] // 2, 1 / 50, 1)
    return g.standard_gamma(1.0, shape) * (g.random(shape) < chance)


def ratio_of_sums(samples, truths):
    """The plain estimator: squared errors over what the samples' variances make expected, all simulations together."""
    above = np.square(truths - samples.mean(0)).sum()
    return above / (1 + 1 / len(samples)) / samples.var(0, ddof=1).sum()


def test_pixels_that_are_seldom_lit():
    """Halves are parted by the prior's spread and tested apart; no simulation decides."""
    found = [
        pixel_groups(rare(s, (8, 64, 200)), rare(1000 + s, (64, 200)), np.arange(200)) for s in range(40)
    ]
    for name in ("z2", "z2_faint", "z2_bright"):
        values, errors = np.array([one[name] for one in found]).T
        assert np.mean(values) == pytest.approx(1, abs=4 * np.std(values) / np.sqrt(40))
        assert np.mean(errors) == pytest.approx(np.std(values), rel=0.4)
    dim = rare(0, (8, 64, 200)) * np.where(np.arange(200) < 100, 0.5, 1)
    value, error = pixel_groups(dim, rare(1000, (64, 200)), np.arange(200))["z2_faint"]
    assert value > 1 + 3 * error


def test_a_rare_bright_image_does_not_decide():
    """One image in 50 has a companion far brighter than all else: the ratio of sums is a matter of how many were drawn,
    the mean share is not."""
    shares, sums = [], []
    for seed in range(100):
        g = np.random.default_rng(seed)
        images = g.standard_normal((9, 64, 50))
        images[..., 0] += 40 * (g.random((9, 64)) < 0.02)
        shares.append(mean_squared_z(images[1:], images[0]))
        sums.append(ratio_of_sums(images[1:], images[0]))
    values, errors = np.array(shares).T
    assert np.mean(values) == pytest.approx(1, abs=4 * np.std(values) / 10)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.3)
    assert np.std(sums) > 2 * np.std(values)
    assert (
        np.mean(np.abs(values - 1) < np.maximum(0.1, 4 * errors)) > 0.95
    )  # what a certificate asks of bands


def test_width_and_bias_show():
    samples, truths, _ = toy(0, D=64, spread=0.8)
    narrow = mean_squared_z(samples, truths)[0]
    # errors 1 + 0.64 / S over 0.64 (1 + 1 / S), S = 16
    assert narrow == pytest.approx((1 + 0.64 / 16) / 0.64 / (1 + 1 / 16), abs=0.1)
    assert narrow == pytest.approx(ratio_of_sums(samples, truths), abs=0.05)
    samples, truths, _ = toy(0, D=64, shift=0.3)
    assert common_bias(samples, truths)[1] < 0.005
    assert common_bias(*toy(0, D=64)[:2])[1] > 0.01


def test_p_values_of_no_common_bias():
    p = [common_bias(*toy(seed)[:2], draws=500)[1] for seed in range(40)]
    assert abs(np.mean(p) - 0.5) < 0.21  # 0.046 is the standard error


def test_fourier_bands_see_the_scale_that_is_wrong():
    g = np.random.default_rng(0)
    truths, samples = g.standard_normal((64, 1, 16, 16)), g.standard_normal((16, 64, 1, 16, 16))
    k = np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(16, 1 / 16)], indexing="ij"))
    damped = np.fft.ifft2(np.fft.fft2(samples) * np.where((k >= 4) & (k < 8), 0.7, 1)).real
    found = fourier_bands(damped, truths)
    assert list(found) == ["k0", "k2", "k4", "k8"]
    for name, (value, error) in found.items():
        if name == "k4":
            assert value > 1.7
        else:
            assert abs(value - 1) < 5 * error


def test_bands_of_signal_to_noise():
    samples, truths, _ = toy(0, D=12)
    V, snr = np.eye(12), np.repeat([0.1, 1.0, 10.0], [6, 4, 2])
    found = signal_bands(samples, truths, V, snr)
    assert list(found) == ["snr_low", "snr_one"]  # two vectors are too few for a band
    half = samples.copy()
    half[..., 6:10] = 0.5 * half[..., 6:10] + 0.5 * half[..., 6:10].mean(0)
    assert signal_bands(half, truths, V, snr)["snr_one"][0] > 3
    assert signal_bands(half, truths, V, snr)["snr_low"] == found["snr_low"]


def test_pixels_without_any_variance_are_left_out():
    samples, truths, _ = toy(0)
    masked = np.concatenate([samples, np.zeros_like(samples)], axis=-1)
    both = np.concatenate([truths, np.zeros_like(truths)], axis=-1)
    for each in (False, True):
        assert mean_squared_z(masked, both, each) == pytest.approx(mean_squared_z(samples, truths, each))
    assert mean_squared_z(0 * samples, 0 * truths) == (1.0, 0.0)


def test_samples_without_any_spread_and_too_few_of_them():
    samples, truths, _ = toy(0)
    assert mean_squared_z(0 * samples, truths)[0] > 10
    with pytest.raises(ValueError, match="at least two samples"):
        mean_squared_z(samples[:1], truths)


def test_residuals_of_posterior_samples_are_unit_white_noise():
    samples, _, y = toy(0, N=200, D=64)  # unit noise: residuals are whitened as they are
    r = y - samples
    found = residuals_of(np.square(r).mean(2).T, r[0])
    assert abs(found["chi2_mean"] - 1) < 4 * found["chi2_mean_error"]
    assert found["chi2_allowed"] == pytest.approx(3 * np.sqrt(2 / 64))
    assert abs(found["whiteness_z"]) < 4
    coloured = r[0] + 0.3 * np.roll(r[0], 1, axis=1)
    assert lag_correlation(coloured)[0] > 20


def test_linear_estimate_is_the_wiener_filter_of_a_white_field():
    _, _, y = toy(0, D=5)
    g = np.random.default_rng(1)
    V = np.linalg.qr(g.standard_normal((5, 5)))[0]
    draws = 0.3 + g.standard_normal((200000, 5))
    estimate = linear_estimate(V, np.full(5, 2.0), 2.0 * y @ V, draws)  # y has noise of deviation 1/2
    assert estimate == pytest.approx(0.3 + 0.8 * (y - 0.3), abs=0.02)


def test_all_moments_are_finite_for_the_smallest_ensemble():
    g = np.random.default_rng(0)
    found = moments_of(
        g.standard_normal((2, 3, 1, 4, 4)), g.standard_normal((2, 1, 4, 4)), np.eye(16), np.ones(16)
    )
    assert all(np.isfinite(value) for value in found.values())
