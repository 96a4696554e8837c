"""Baselines of the problems, their comparison with posteriors, and the figures drawn from both."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.figures import plot_comparison, plot_posterior
from scripts.sample import baselines
from scripts.validate import compare
from skyscore import io, plotting
from skyscore.problems import Panel, load_problem
from skyscore.problems.lens.problem import LensProblem
from skyscore.samplers import Samples
from skyscore.simulate.galaxies import Galaxies
from skyscore.statistics.spectra import agreement, rings, spectra

SETTINGS = {"image_pixels": 28, "image_scale": 0.2, "psf_fwhm": 0.3, "subpixels": 2}


# ---------------------------------------------------------------------------------------------- spectra


def test_white_noise_has_a_flat_spectrum_of_its_variance_times_the_pixel_area():
    noise = 0.7 * np.random.default_rng(0).standard_normal((200, 24, 24))
    found = spectra(noise, None, 0.5)
    assert found["power"].shape == (200, 12)
    white = 0.7**2 * 0.5**2
    assert np.allclose(found["power"].mean(0)[1:], white, rtol=0.08)
    assert (
        0.6 * white < found["power"].mean(0)[0] < white
    )  # the window joins the mean, taken off, to the first ring
    assert found["k"][0] == pytest.approx(1 / (24 * 0.5))  # one cycle per field
    assert "correlation" not in found


def test_correlation_with_itself_its_negative_and_noise():
    g = np.random.default_rng(1)
    truth = g.standard_normal((32, 32))
    found = spectra(np.stack([truth, 3 * truth + 5, -truth, g.standard_normal((32, 32))]), truth, 1.0)
    assert np.allclose(found["correlation"][:2], 1)
    assert np.allclose(found["correlation"][2], -1)
    assert np.abs(found["correlation"][3][4:]).mean() < 0.4


def test_rings_count_cycles_per_field():
    ring = rings((8, 8))
    assert ring[0, 0] == 0 and ring[0, 1] == 1 and ring[4, 0] == 4 and ring[0, 7] == 1


def test_agreement_is_over_the_footprint():
    truth = np.arange(16.0).reshape(4, 4)
    image, inside = truth + 2, np.ones((4, 4), bool)
    image[0, 0], inside[0, 0] = 1e6, False
    assert agreement(image, truth, inside) == {"rmse": pytest.approx(2), "correlation": pytest.approx(1)}
    assert agreement(np.ones((4, 4)), truth, inside)["correlation"] == 0


# ---------------------------------------------------------------------------------------------- lens


@pytest.fixture(scope="module")
def lens():
    return LensProblem.simulate(SETTINGS, Galaxies.simulate(12, 16, seed=1), seed=3)


def test_lens_baselines_find_the_source(lens):
    """Regularised inversion and Sersic fit come nearer to the truth than an empty image or its mean would."""
    problem = load_problem(lens)
    truth, found = lens.arrays["truth"][0], problem.baselines()
    assert set(found) == {"curvature", "sersic"}
    for name, image in found.items():
        assert image.shape == (16, 16), name
        numbers = agreement(image, truth, problem.footprint())
        assert numbers["rmse"] < 0.6 * truth.std() and numbers["correlation"] > 0.8, name
    assert (
        agreement(found["curvature"], truth, problem.footprint())["rmse"]
        < agreement(found["sersic"], truth, problem.footprint())["rmse"]
    )
    assert (found["sersic"] >= 0).all()


# ---------------------------------------------------------------------------------------------- scripts


@pytest.fixture(scope="module")
def compared(lens, tmp_path_factory):
    """The files of one problem, from the observation to the comparison."""
    folder = tmp_path_factory.mktemp("compare")
    io.write_observation(folder / "observation.h5", lens)
    io.write_dataset(folder / "held_out.h5", held_out=Galaxies.simulate(20, 16, seed=2))
    truth = torch.as_tensor(lens.arrays["truth"])
    for k, name in enumerate(("mmps", "cla")):
        noise = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(k))
        samples = Samples(truth + 0.05 * (k + 1) * noise, 1.0, 0.0)
        io.write_samples(folder / f"{name}.h5", samples, load_problem(lens))
    paths = [folder / name for name in ("observation.h5", "held_out.h5", "baselines.h5", "baselines.json")]
    baselines.main(*paths, problem="lens", seed=1)
    compare.main(
        paths[0],
        paths[2],
        [folder / "mmps.h5", folder / "cla.h5"],
        folder / "comparison.h5",
        folder / "comparison.json",
        problem="lens",
        samplers=["mmps", "cla"],
    )
    return folder


def test_numbers_of_baselines_and_samplers(compared):
    flat = io.read_json(compared / "baselines.json")["numbers"]
    assert set(flat) == {
        f"lens/baselines/{name}/{key}" for name in ("curvature", "sersic") for key in ("rmse", "correlation")
    }
    numbers = io.read_json(compared / "comparison.json")["numbers"]
    assert numbers["lens/mmps/mean_sd"] == pytest.approx(0.05 * np.sqrt(7 / 8), rel=0.05)
    assert numbers["lens/mmps/mean_rmse"] == pytest.approx(0.05 / np.sqrt(8), rel=0.15)
    assert numbers["lens/cla/mean_rmse"] == pytest.approx(2 * numbers["lens/mmps/mean_rmse"], rel=0.2)
    assert numbers["lens/mmps/mean_correlation"] > 0.99


def test_panels_and_spectra_of_the_comparison(compared):
    titles = [panel.title for panel in io.read_panels(compared / "comparison.h5")]
    assert titles == [
        "Observation",
        "Truth",
        "curvature",
        "sersic",
        "mmps: mean",
        "cla: mean",
        "mmps: standard deviation",
        "cla: standard deviation",
    ]
    curves = io.read_json(compared / "comparison.json")["spectra"]
    assert np.allclose(curves["Truth"]["correlation"], 1)
    band = curves["mmps: samples"]
    assert all(
        low <= middle <= high
        for low, middle, high in zip(band["low"], band["power"], band["high"], strict=True)
    )


def test_figure_and_caption_of_the_comparison(compared):
    names = ("comparison.h5", "comparison.json", "baselines.json", "c.pdf", "c.png", "c.rst")
    plot_comparison.main(*(compared / name for name in names), problem="lens")
    assert (compared / "c.pdf").stat().st_size > 5000 and (compared / "c.png").stat().st_size > 5000
    text = (compared / "c.rst").read_text()
    flat = io.read_json(compared / "baselines.json")["numbers"]
    assert f'"curvature", "{flat["lens/baselines/curvature/rmse"]:.3g}"' in text
    assert '"mmps: mean"' in text


def test_an_observation_without_truth_is_drawn_without_numbers(lens, compared, tmp_path):
    arrays = {name: array for name, array in lens.arrays.items() if name != "truth"}
    real = {"assumptions": ["noise: that of the sky"]}
    real["numbers"] = {"einstein_radius_arcsec": 1.5, "einstein_radius_error_arcsec": 0.01, "slope": 2.0}
    io.write_observation(tmp_path / "o.h5", type(lens)(lens.problem, arrays, lens.attrs | real))
    paths = [tmp_path / name for name in ("baselines.h5", "baselines.json")]
    baselines.main(tmp_path / "o.h5", compared / "held_out.h5", *paths, problem="lens", seed=1)
    assert io.read_json(paths[1])["numbers"] == {}
    out = [tmp_path / name for name in ("comparison.h5", "comparison.json")]
    compare.main(tmp_path / "o.h5", paths[0], [compared / "mmps.h5"], *out, problem="lens", samplers=["mmps"])
    assert set(io.read_json(out[1])["numbers"]) == {"lens/mmps/mean_sd"}
    figure = [tmp_path / name for name in ("c.pdf", "c.png", "c.rst")]
    plot_comparison.main(*out, paths[1], *figure, problem="lens")
    text = figure[2].read_text()
    assert "The truth is not known." in text and "* noise: that of the sky\n" in text
    assert "Measured: Einstein radius [arcsec] 1.5 +- 0.01." in text


# ---------------------------------------------------------------------------------------------- panels


def test_panels_of_points_and_of_other_angles_are_drawn(tmp_path):
    g = np.random.default_rng(0)
    panels = [
        Panel(g.standard_normal((12, 12)), "convergence", 2.0, "kappa", "kappa", "signed", "arcmin"),
        Panel(1e3 * g.standard_normal((2, 500)), "uv coverage", 1.0, "wavelengths", "uv", "points"),
    ]
    io.write_panels(tmp_path / "panels.h5", panels)
    back = io.read_panels(tmp_path / "panels.h5")
    assert back[0].scale_unit == "arcmin" and back[1].image.shape == (2, 500)
    figure = plotting.draw_panels(back)
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "5'" in texts


def test_figure_of_a_posterior(compared, lens, tmp_path):
    problem = load_problem(lens)
    x = torch.as_tensor(io.read_samples(compared / "mmps.h5")[0])
    io.write_panels(tmp_path / "panels.h5", problem.panels(x))
    flat = {f"lens/mmps/{k}": v for k, v in {"chi2_dof": 1.0, "nfe": 3, "nvjp": 0}.items()}
    io.write_numbers(tmp_path / "n.json", flat, caption_numbers=["chi2 on the arcs 1.1"])
    content = io.read_json(tmp_path / "n.json")
    content["provenance"]["seed"] = 1
    io.write_json(tmp_path / "n.json", content)
    paths = [tmp_path / name for name in ("panels.h5", "n.json", "p.pdf", "p.png", "p.rst")]
    plot_posterior.main(*paths, problem="lens", sampler="mmps")
    assert paths[3].stat().st_size > 5000
    assert "chi2 per datum 1.000; chi2 on the arcs 1.1; 3 evaluations" in paths[4].read_text()
