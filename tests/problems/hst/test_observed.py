"""Real frames of HST and NIRCam: stamps, units, backgrounds, and the problem made of them."""

import numpy as np
import pytest
import torch
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from skyscore.problems import Observation, load_problem
from skyscore.problems.hst.check_files import brightness_unit
from skyscore.problems.hst.observed import observe_hst
from skyscore.problems.hst.problem import HSTProblem
from skyscore.problems.hst.psf import match_width
from skyscore.statistics.moments import moments_of
from tests.helpers.frames import COARSE, FACTOR, FINE, SHARP, SHIFT, chi2, gaussian_psf, scene, settings


def test_both_images_are_those_of_the_scene(files):
    """Units, background, widths and places of both frames: the true scene fits the stamp and the unseen image.

    The NIRCam pixels lie 0.3 and 0.2 off the scene's: without these it does not fit.
    """
    arrays, attrs = observe_hst(settings(), files, 32)
    problem = load_problem(Observation("hst", arrays, attrs))
    broad = problem.operator(scene())[0, 0].numpy()
    assert chi2(problem) == pytest.approx(1, abs=0.15)
    r = (arrays["images"][0] - broad) / attrs["noise_std"]
    assert (r**2).mean() == pytest.approx(1, abs=0.35) and abs(
        r.mean()
    ) < 0.5  # noise of 16 x 16 pixels, correlated
    assert attrs["noise_std"] == pytest.approx(0.02 * FACTOR, rel=0.05) and attrs["unit"] == "MJy/sr"
    flux = arrays["images"].sum() * COARSE**2
    assert flux == pytest.approx(0.4, abs=0.02)  # some of it is beyond the stamp
    for shift in (0.0, -SHIFT[0]), (-SHIFT[1], 0.0):  # as if one of the two offsets were not known
        psf = match_width(gaussian_psf(0.05, FINE, 15), FINE, FINE, FINE, SHARP, shift).psf
        problem.sharp.psf = torch.from_numpy(psf)
        assert chi2(problem) > 1.3


def test_blank_sky_has_a_chi2_of_its_own(files):
    """Nearly one under the law measured on it, and what that law gives away to its smallest variances less."""
    numbers = observe_hst(settings(), files, 32)[1]["numbers"]
    assert numbers["sky_chi2"] == pytest.approx(1, abs=0.2) and 0 < numbers["sky_chi2_std"] < 0.5


def test_the_comparison_leaves_a_hole(files):
    whole = observe_hst(settings(), files, 32)[0]["sharp_keep"]
    keep = observe_hst(settings(hole=0.2), files, 32)[0]["sharp_keep"]
    y, x = (np.indices((32, 32)) - 15.5) * FINE
    assert np.array_equal(keep, whole * (np.hypot(y, x) >= 0.2))


def test_electrons_by_either_of_two_headers(tmp_path):
    """The cards of WFC3 F125W, whose PHOTFNU is 1.1672636e-7; the zero point of ACS F606W is 26.49 AB magnitudes."""
    factor = {}
    for name, cards in {
        "fnu": {"PHOTFNU": 1.1672636e-7},
        "flam": {"PHOTFLAM": 2.2446e-20, "PHOTPLAM": 12486.06},
        "acs": {"PHOTFLAM": 7.86211131e-20, "PHOTPLAM": 5921.8912},
        "none": {},
    }.items():
        path = tmp_path / f"{name}.fits"
        h = fits.Header({"BUNIT": "ELECTRONS/S"} | cards)
        fits.PrimaryHDU(np.ones((3, 3), np.float32), h).writeto(path)
        factor[name], unit = brightness_unit(str(path), COARSE)
        assert unit == ("MJy/sr" if cards else "ELECTRONS/S")
    assert factor["flam"] == pytest.approx(factor["fnu"], rel=1e-4) and factor["none"] == 1
    jansky = factor["acs"] * 1e6 * COARSE**2 / (180 / np.pi * 3600) ** 2
    assert -2.5 * np.log10(jansky / 3631) == pytest.approx(26.49, abs=0.005)


def test_the_problem_runs_on_it(files):
    g = np.random.default_rng(0)
    images = np.stack([gaussian_filter(g.standard_normal((32, 32)) ** 2, 2) for _ in range(60)])[:, None]
    images *= np.outer(np.hanning(32), np.hanning(32)) ** 2
    observation = HSTProblem.from_data(settings(), files, moments_of(images))
    problem = load_problem(observation)
    assert problem.shape == (1, 32, 32) and problem.wcs["CTYPE1"] == "RA---TAN"
    assert torch.allclose(
        problem.matrix, problem.operator.matrix(), atol=1e-12
    )  # by rows, of which there are fewer
    truth = scene()[0] / observation.attrs["flux_scale"]
    x = truth + 0.01 * torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = problem.residuals(x)
    assert found["sharp_correlation"] > 0.95 and found["sharp_colour"] == pytest.approx(1, abs=0.05)
    assert found["chi2_dof"].shape == found["sharp_sample_correlation"].shape == (3,)
    assert "truth" not in observation.arrays and "rmse" not in found
    titles = [panel.title for panel in problem.panels(x)]
    assert titles[0] == "HST F160W exposure" and "NIRCam F150W image (held out)" in titles
    baselines = problem.baselines(moments_of(images))
    assert set(baselines) == {"richardson-lucy", "wiener", "drizzled"}
    r = {name: problem.checked(name, image)["correlation"] for name, image in baselines.items()}
    assert r["drizzled"] > 0.8 and max(r.values()) < found["sharp_correlation"]
