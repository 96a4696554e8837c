"""Point-spread functions of the width of stars, and the comparison with the image that no sampler sees."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skyscore.problems.hst.check_scores import (
    BANDS,
    compared,
    correlation_error,
    enlarged,
    noise_shares,
)
from skyscore.problems.hst.psf import match_width, moffat_width
from skyscore.problems.hst.simulated import moffat_psf
from tests.helpers.frames import (
    BROAD,
    COARSE,
    FINE,
    SHARP,
    SOURCES,
    gaussian_psf,
    sky_image,
)


@pytest.mark.parametrize("beta", [2.0, 4.0])
def test_width_of_a_moffat_profile(beta):
    assert moffat_width(moffat_psf(5.0, beta), 0.03) == pytest.approx(0.15, rel=1e-3)


def test_a_psf_is_brought_to_the_width_of_a_star():
    """Of Gaussians the widths add in squares, pixels of the scene and of the frame included."""
    for fwhm, target, coarse in ((0.05, 0.08, FINE), (0.25, 0.187, COARSE), (0.15, 0.187, COARSE)):
        found = match_width(gaussian_psf(fwhm, 0.03, 40), 0.03, FINE, coarse, target)
        assert found.psf.sum() == pytest.approx(1) and found.psf.shape[0] % 2 == 1
        assert (found.stretch < 1) == (found.gaussian == 0) == (fwhm > target)
        pixel = coarse**2 / 12 if coarse > FINE else 0.0
        sigma = np.sqrt((target / 2.3548) ** 2 - pixel)
        t = (np.arange(len(found.psf)) - len(found.psf) // 2) * FINE
        assert np.sqrt((found.psf.sum(0) * t**2).sum()) == pytest.approx(sigma, rel=0.03)
    with pytest.raises(ValueError, match=r"no PSF of width 0\.05"):
        match_width(gaussian_psf(0.3, 0.03, 40), 0.03, FINE, COARSE, 0.05)


def test_comparison_is_up_to_the_colour():
    truth, keep = sky_image(64, FINE, SHARP, sources=SOURCES), np.ones((64, 64), bool)
    keep[5, 5] = False
    data = 2.5 * truth
    data[5, 5] = np.nan
    found = compared(truth, np.where(keep, data, 0.0), keep, FINE)
    assert found["correlation"] == pytest.approx(1) and found["colour"] == pytest.approx(2.5)
    assert found["magnitude"] == pytest.approx(-0.995, abs=1e-3)
    assert all(found[f"residual_{low}_{high}"] < 1e-12 for low, high in BANDS)
    blurred = compared(gaussian_filter(truth, 3), 2.5 * truth, keep | True, FINE)
    assert blurred["correlation"] < 0.99 and blurred["residual_4_8"] > blurred["residual_0_2"]
    assert compared(0 * truth, truth, keep, FINE)["residual_2_4"] == pytest.approx(1)


def test_residual_power_of_a_perfect_prediction_is_the_noise():
    g = np.random.default_rng(0)
    truth, keep = sky_image(64, FINE, SHARP, sources=SOURCES), np.ones((64, 64), bool)
    data = truth + 0.05 * g.standard_normal((64, 64))
    found, floor = (
        compared(truth, data, keep, FINE),
        noise_shares(data, 0.05 * g.standard_normal((30, 64, 64)), FINE),
    )
    for (low, high), error in zip(
        BANDS[1:], (0.18, 0.09, 0.05), strict=True
    ):  # 1 / sqrt(cells of the band in one image)
        assert found[f"residual_{low}_{high}"] == pytest.approx(floor[f"noise_{low}_{high}"], rel=3 * error)


def test_error_of_a_correlation_is_that_of_independent_pixels():
    """Of white images of correlation 0.6 it is (1 - r^2) / sqrt(n)."""
    g = np.random.default_rng(3)
    a, b = g.standard_normal((2, 64, 64))
    error = correlation_error(a, 0.6 * a + 0.8 * b, np.ones((64, 64), bool))
    assert error == pytest.approx((1 - 0.36) / 64, rel=0.3)


def test_enlarging_keeps_places():
    coarse, fine = (sky_image(n, s, BROAD, sources=SOURCES) for n, s in ((16, COARSE), (32, FINE)))
    assert np.abs(enlarged(coarse, COARSE, 32, FINE) - fine)[4:-4, 4:-4].max() < 0.01 * fine.max()
