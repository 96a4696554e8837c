"""The exercises: sources of other populations, the Gaussian prior, where a posterior stands, scripts and figure."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.figures import plot_exercise
from scripts.train import train_prior
from scripts.validate import exercise
from skyscore import io
from skyscore.priors import GaussianPrior, MomentsPrior, load_prior
from skyscore.problems import load_problem
from skyscore.problems.lens.problem import LensProblem
from skyscore.samplers import Samples, sample
from skyscore.simulate import SIMULATORS
from skyscore.simulate.galaxies import Galaxies
from skyscore.simulate.shapes import LETTERS, letter, ring
from skyscore.validation.exercises import position

SETTINGS = {"image_pixels": 28, "image_scale": 0.2, "psf_fwhm": 0.3, "subpixels": 2}


# ---------------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize("form", ["letter", "ring", "pair"])
def test_shapes(form):
    images = SIMULATORS["shapes"].simulate(6, 32, {"forms": [form]}, seed=1)
    assert images.shape == (6, 1, 32, 32) and images.dtype == np.float32
    assert images.min() >= 0 and 0.9 < images.max(axis=(1, 2, 3)).mean() < 2.5  # the brightness of galaxies
    assert np.array_equal(images, SIMULATORS["shapes"].simulate(6, 32, {"forms": [form]}, seed=1))
    assert not np.allclose(images[0], images[1])
    edge = np.concatenate([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]])
    assert edge.max() < 0.25  # inside the frame


def test_a_ring_is_dark_in_its_middle_and_letters_differ():
    r = ring(32, np.zeros(2))
    assert r[15:17, 15:17].max() < 0.01 and r.max() == pytest.approx(1, abs=0.2)
    flat = np.stack([letter(name, 32, np.zeros(2)).ravel() for name in LETTERS])
    r = np.corrcoef(flat) - np.eye(len(flat))
    assert r.max() < 0.95  # H and N have much in common
    # strokes of E are on the left: row = +y, column = +x
    assert letter("E", 32, np.zeros(2))[:, :16].sum() > letter("E", 32, np.zeros(2))[:, 16:].sum()


def test_settings_of_shapes_are_checked():
    from skyscore.config.settings import SettingsError, check_config

    good = {
        "datasets": {"a": {"kind": "shapes", "pixels": 16, "shapes": {"forms": ["ring"]}}},
        "samplers": {name: {"name": name} for name in ("mmps", "cla")},
    }
    assert check_config(good)["datasets"]["a"]["shapes"]["letters"] == "AEHKNXZ"
    good["datasets"]["a"]["shapes"]["forms"] = ["square"]
    with pytest.raises(SettingsError, match="not one of"):
        check_config(good)


# ---------------------------------------------------------------------------------------------- the Gaussian prior


@pytest.fixture(scope="module")
def moments():
    return MomentsPrior.fit(Galaxies.simulate(300, 16, seed=1), rank=60)


def dense(prior) -> GaussianPrior:
    """The same prior with its covariance written out."""
    U, v = prior.components.double(), prior.variances.double()
    C = prior.residual * (torch.eye(U.shape[1], dtype=torch.float64) - U.T @ U) + U.T @ torch.diag(v) @ U
    return GaussianPrior(prior.mean.flatten().double(), C)


def test_gaussian_prior_is_that_of_its_covariance(moments):
    x = torch.randn(5, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for sigma in (0.01, 0.3, torch.tensor([0.1, 0.2, 0.5, 2.0, 20.0], dtype=torch.float64)):
        expected = dense(moments).denoise(x.flatten(1), sigma)
        assert torch.allclose(moments.denoise(x, sigma).flatten(1), expected, atol=1e-5)


def test_gaussian_prior_has_the_moments_of_its_images():
    images = Galaxies.simulate(400, 16, seed=3)
    prior = MomentsPrior.fit(images, rank=200)
    drawn = prior.sample(4000, torch.Generator().manual_seed(0)).numpy()
    assert np.abs(drawn.mean(0) - images.mean(0)).max() < 0.03
    assert drawn.var(0).sum() == pytest.approx(images.var(0).sum(), rel=0.05)


def test_gaussian_prior_survives_a_file(moments, tmp_path):
    moments.save(tmp_path / "p.safetensors")
    back = load_prior(tmp_path / "p.safetensors")
    assert isinstance(back, MomentsPrior) and back.shape == (1, 16, 16)
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        back.denoise(x, 0.5), moments.denoise(x, 0.5), atol=2e-3
    )  # components in half precision
    io.write_weights(tmp_path / "q.safetensors", {}, {"kind": "gaussian"})
    with pytest.raises(io.InputError, match=r"q\.safetensors: holds no moments"):
        load_prior(tmp_path / "q.safetensors")


def test_rule_trains_the_gaussian_prior(tmp_path):
    io.write_dataset(tmp_path / "train.h5", train=Galaxies.simulate(40, 16, seed=1))
    train_prior.main(
        tmp_path / "train.h5",
        tmp_path / "p.safetensors",
        name="g",
        settings={"kind": "gaussian", "pixels": 16},
        seed=1,
        checkpoint_every=1,
    )
    prior = load_prior(tmp_path / "p.safetensors")
    assert prior.config == {"kind": "gaussian", "pixels": 16}
    assert prior.components.shape == (20, 256)


def test_mmps_under_the_gaussian_prior_gives_the_exact_posterior(moments):
    """The mean under the misspecified prior of the exercise is that of the closed form."""
    observation = LensProblem.simulate({**SETTINGS, "snr": 5}, Galaxies.simulate(3, 16, seed=2), seed=1)
    likelihood = load_problem(observation).likelihood
    exact = dense(moments).posterior(likelihood)
    samples = sample("mmps", moments, likelihood, 64, steps=120, sigma_max=20.0, sigma_min=0.005, cg_steps=30)
    x, sd = samples.x.flatten(1).double(), exact.covariance.diag().sqrt()
    assert float(((x.mean(0) - exact.mean) / sd).square().mean()) < 2 / 64 + 0.02
    assert float((x.var(0) / sd**2).mean()) == pytest.approx(1, abs=0.1)


# ---------------------------------------------------------------------------------------------- numbers


def test_where_a_posterior_stands():
    g = np.random.default_rng(0)
    prior, truth = g.standard_normal((300, 60)), g.standard_normal(60)
    same = position(g.standard_normal((200, 60)), prior, truth)
    assert abs(same["distance_to_prior"]) < 0.01
    assert same["distance_to_truth"] == pytest.approx(1, abs=0.1)
    assert same["sd_over_prior"] == pytest.approx(1, abs=0.05)
    known = position(truth + 0.01 * g.standard_normal((200, 60)), prior, truth)
    assert known["distance_to_prior"] == pytest.approx(1, abs=0.1)
    assert known["distance_to_truth"] < 0.02
    off = position(truth + 0.03 + 0.01 * g.standard_normal((200, 60)), prior, truth)
    assert off["error_over_sd"] == pytest.approx(3, rel=0.1)
    assert off["rmse"] == pytest.approx(0.03, rel=0.1)


def test_gaussian_posterior_relaxes_to_the_prior_as_noise_grows():
    """With the exact posterior of a white field the distances move monotonically from the truth to the prior."""
    g = np.random.default_rng(1)
    prior, truth, noise = g.standard_normal((300, 40)), g.standard_normal(40), g.standard_normal(40)
    found = []
    for sd in (0.1, 0.5, 2.0, 10.0):
        gain = 1 / (1 + sd**2)
        samples = gain * (truth + sd * noise) + np.sqrt(gain) * sd * g.standard_normal((100, 40))
        found.append(position(samples, prior, truth))
    for key, sign in (("distance_to_prior", -1), ("distance_to_truth", 1), ("sd_over_prior", 1)):
        assert (sign * np.diff([case[key] for case in found]) > 0).all(), key


# ---------------------------------------------------------------------------------------------- scripts


def test_scripts_of_an_exercise(tmp_path):
    images, names = Galaxies.simulate(6, 16, seed=1), ("lens", "lens1")
    for name, snr in zip(names, (30, 1), strict=True):
        observation = LensProblem.simulate({**SETTINGS, "snr": snr}, images, seed=3)
        io.write_observation(tmp_path / f"{name}_o.h5", observation)
        noise = torch.randn(6, 1, 16, 16, generator=torch.Generator().manual_seed(snr))
        samples = Samples(torch.as_tensor(observation.arrays["truth"]) + noise / snr, 1.0, 0.0)
        io.write_samples(tmp_path / f"{name}.h5", samples, load_problem(observation))
    io.write_dataset(tmp_path / "prior.h5", samples=Galaxies.simulate(30, 16, seed=5))
    out = [tmp_path / name for name in ("e.h5", "e.json", "e.pdf", "e.png", "e.rst")]
    exercise.main(
        [tmp_path / f"{name}_o.h5" for name in names],
        [tmp_path / f"{name}.h5" for name in names],
        [tmp_path / "prior.h5"] * 2,
        *out[:2],
        exercise="snr",
        cases={"lens": "lens, snr 30", "lens1": "lens1, snr 1"},
    )
    numbers = io.read_json(out[1])["numbers"]
    assert numbers["exercise/snr/lens/sd"] < numbers["exercise/snr/lens1/sd"]
    assert numbers["exercise/snr/lens/chi2_dof"] > 0
    panels = io.read_panels(out[0])
    assert len(panels) == 2 * 8 + 7
    assert [panel.title for panel in panels[:4]] == ["Data", "Truth", "Posterior mean", "Standard deviation"]
    plot_exercise.main(*out, exercise="snr")
    assert out[2].stat().st_size > 5000 and out[3].stat().st_size > 5000
    assert '"lens1, snr 1"' in out[4].read_text()


def test_cases_with_one_seed_share_truth_and_noise():
    """The noise in units of its own deviation is that of the problem whose seed is taken."""
    images = Galaxies.simulate(6, 16, seed=1)
    a, b = (LensProblem.simulate({**SETTINGS, "snr": snr}, images, seed=3) for snr in (30, 3))
    assert np.array_equal(a.arrays["truth"], b.arrays["truth"])
    z = [(o.arrays["image"] - o.arrays["noiseless"]) / o.arrays["std"] for o in (a, b)]
    assert np.allclose(*z)
