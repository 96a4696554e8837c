"""The scripts of validation on tiny arrays, from simulations to the table of certificates, for a real problem."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from scripts.certify import (
    certify,
    control,
    coverage_ensemble,
    mira_ensemble,
    moments_ensemble,
    pqmass_ensemble,
    sample_ensemble,
    simulate,
)
from scripts.figures import plot_certificates, plot_control, plot_coverage, plot_moments
from skyscore import io
from skyscore.diffusion.network import Denoiser
from skyscore.priors import NeuralPrior, load_prior
from skyscore.problems import PROBLEMS
from skyscore.samplers import sample, sample_problem
from skyscore.validation.ensemble import coverage_of, noise_residuals_of, pooled_of

NETWORK = {"patch": 2, "channels": [32], "blocks": 1, "attention": 0}
SETTINGS = {"source_width": 2.4, "image_pixels": 24, "image_scale": 0.24, "subpixels": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An observation, an untrained prior, its draws, simulations and an ensemble."""
    folder = tmp_path_factory.mktemp("lens")
    images = np.random.default_rng(0).random((12, 1, 16, 16)).astype(np.float32)
    observation = PROBLEMS["lens"].simulate(SETTINGS, images, seed=1)
    io.write_observation(folder / "observation.h5", observation)
    io.write_dataset(folder / "held_out.h5", held_out=images)
    io.write_dataset(folder / "samples.h5", samples=images[::-1] * 0.9)
    torch.manual_seed(0)
    NeuralPrior(Denoiser(16, 0.3, NETWORK)).save(folder / "prior.safetensors")
    paths = [folder / f"{name}.h5" for name in ("observation", "samples", "held_out", "simulations")]
    simulate.main(*paths, n=4, n_held_out=2, seed=3)
    return folder


def drawn(folder, name="ensemble", **options):
    paths = [folder / "observation.h5", folder / "simulations.h5", folder / "prior.safetensors"]
    sample_ensemble.main(
        *paths,
        folder / f"{name}.h5",
        **({"sampler": {"name": "cla", "steps": 4}} | options),
        n=4,
        seed=5,
        device="cpu",
    )
    return folder / f"{name}.h5"


def test_the_first_level_is_the_priors_unless_the_settings_say_otherwise(folder):
    prior = load_prior(folder / "prior.safetensors", "cpu")
    problem = PROBLEMS["lens"](io.read_observation(folder / "observation.h5"))

    def first(**more):
        found = sample_problem({"name": "cla", "steps": 4, **more}, prior, problem, 1)
        return found.diagnostics["sigma_max"]

    assert first() == prior.sigma_max
    assert first(sigma_max=5.0) == first(sigma_max=5.0, start_sigmas=3.0) == 5.0
    assert first(start_sigmas=4.0) == pytest.approx(2 * first(start_sigmas=2.0))


@pytest.mark.parametrize("wrong", [{"steps": 2}, {"eta": -1.0}, {"etta": 1.0}])
def test_settings_are_refused_before_the_operator_is_decomposed(folder, wrong, monkeypatch):
    prior = load_prior(folder / "prior.safetensors", "cpu")
    problem = PROBLEMS["lens"](io.read_observation(folder / "observation.h5"))

    def minutes(likelihood):
        raise AssertionError("decomposed")

    monkeypatch.setattr(type(problem.likelihood), "spectrum", minutes)
    monkeypatch.setattr(type(problem), "likelihood", property(minutes))
    with pytest.raises(ValueError, match=f"mmps: .*{next(iter(wrong))}"):
        sample_problem({"name": "mmps", "steps": 8, **wrong}, prior, problem, 1)


def test_simulations_are_new_data_of_the_same_instrument(folder):
    made, problem = (
        io.read_simulations(folder / "simulations.h5"),
        PROBLEMS["lens"](io.read_observation(folder / "observation.h5")),
    )
    assert made.truths.shape == made.estimates.shape == (6, 1, 16, 16)
    assert made.drawn == 4
    assert made.data.shape == (6, len(problem.data))
    assert (made.truths[:4] == io.read_dataset(folder / "samples.h5", "samples")[:4]).all()
    chi2 = problem.chi2(torch.as_tensor(made.truths)[:, None], torch.as_tensor(made.data))
    # the truth itself: M data of unit noise; five standard deviations
    assert chi2.flatten().numpy() == pytest.approx(np.ones(6), abs=5 * np.sqrt(2 / made.data.shape[1]))


def test_too_few_images_are_refused(folder):
    paths = [folder / f"{name}.h5" for name in ("observation", "samples", "held_out", "more")]
    with pytest.raises(
        io.InputError, match=r"12 draws of the prior are too few: 7 simulations need twice as many"
    ):
        simulate.main(*paths, n=7, n_held_out=2, seed=3)
    with pytest.raises(io.InputError, match=r"13 held-out simulations"):
        simulate.main(*paths, n=4, n_held_out=13, seed=3)


def test_batches_change_nothing(folder, monkeypatch):
    whole, _, about = io.read_ensemble(drawn(folder))
    monkeypatch.setattr(sample_ensemble, "IMAGES", {"cpu": 8})  # two simulations at a time
    parts, _, again = io.read_ensemble(drawn(folder, "parts"))
    assert whole.shape == (6, 4, 1, 16, 16)
    assert parts == pytest.approx(whole, abs=1e-4)
    assert about["nfe"] == pytest.approx(again["nfe"], abs=0.5)


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs g++")
def test_a_compiled_network_changes_nothing(folder, capsys):
    whole, _, _ = io.read_ensemble(drawn(folder))
    fast, _, _ = io.read_ensemble(drawn(folder, "compiled", compiling=True))
    assert "networks compiled for 24 images" in capsys.readouterr().out
    assert fast == pytest.approx(whole, abs=0.05 * float(whole.std()))


@pytest.mark.parametrize(
    "sampler",
    [{"name": "cla", "steps": 4}, {"name": "hmc", "steps": 10, "leapfrogs": 1, "inner": 3}],
)
def test_parts_change_nothing(folder, sampler):
    """Also of a sampler that runs each observation by itself; a part that is missing or out of order is named."""
    whole, _, about = io.read_ensemble(drawn(folder, sampler=sampler))
    paths = [drawn(folder, f"part{k}", sampler=sampler, first=2 * k, at_most=2) for k in range(3)]
    together, _, again = io.read_ensemble(paths)
    assert together == pytest.approx(whole, abs=1e-4)
    # each part learns about the prior by itself: a level to start from, and the mass of hmc, a product per pixel
    assert about["nfe"] <= again["nfe"] < about["nfe"] + (0.5 if sampler["name"] == "cla" else 256)
    with pytest.raises(io.InputError, match=r"part2\.h5: begins at simulation 4, but 2 is expected"):
        io.read_ensemble([paths[0], paths[2]])


def test_from_ensembles_to_the_table(folder, tmp_path):
    drawn(folder)
    observation, made, ensemble, draws = (
        folder / f"{name}.h5" for name in ("observation", "simulations", "ensemble", "samples")
    )
    names, out = (
        {"problem": "lens", "sampler": "cla"},
        {
            name: tmp_path / f"{name}.json"
            for name in ("coverage", "mira", "moments", "pqmass", "certificate")
        },
    )
    coverage_ensemble.main(made, ensemble, out["coverage"], **names, seed=1)
    mira_ensemble.main(made, ensemble, out["mira"], **names)
    moments_ensemble.main(observation, made, ensemble, draws, out["moments"], **names, seed=1)
    pqmass_ensemble.main(made, ensemble, draws, out["pqmass"], **names, seed=1)
    io.write_numbers(tmp_path / "prior.json", {"galaxies16/pqmass_chi2_dof": 1.1})
    tests = [out[name] for name in ("coverage", "mira", "moments", "pqmass")]
    certify.main(tests, [tmp_path / "prior.json"], out["certificate"], **names, default=True)
    verdict = io.read_json(out["certificate"])
    assert verdict["numbers"] == {"lens/cla/certified": 0, "lens/certified": 0}
    assert "simulations is 4, allowed 64 or more" in verdict["certificate"]["reasons"]
    assert {"name": "PQMass of galaxies16", "value": 1.1, "low": 0, "high": 1.3, "passed": True} in (
        verdict["certificate"]["checks"]
    )
    flat = {key for path in tests for key in io.read_json(path)["numbers"]}
    for key in (
        "tarp_p",
        "mira_z",
        "z2",
        "z2_k0",
        "chi2_mean",
        "whiteness_z",
        "held_out_z2",
        "held_out_tarp_p",
    ):
        assert f"lens/cla/{key}" in flat
    assert not io.read_json(out["pqmass"])["numbers"]  # four pooled samples say nothing

    control.main(
        tmp_path / "control.json", settings={"simulations": 4, "samples": 4, "side": 4, "steps": 4}, seed=1
    )
    picture = {kind: tmp_path / f"figure.{kind}" for kind in ("pdf", "png")} | {
        "caption": tmp_path / "caption.rst"
    }
    chosen = {"problem": "lens", "samplers": ["cla"]}
    plot_coverage.main([out["coverage"]], **picture, **chosen)
    assert '"cla", "held out"' in picture["caption"].read_text()
    plot_moments.main(
        *([out[name]] for name in ("coverage", "mira", "moments", "certificate")), **picture, **chosen
    )
    assert '"sampler", "mean squared z"' in picture["caption"].read_text()
    plot_certificates.main([out["certificate"]], tmp_path / "control.json", **picture)
    assert "**lens / cla**: not certified: " in picture["caption"].read_text()
    plot_control.main(tmp_path / "control.json", **picture)
    assert "closed form" in picture["caption"].read_text()
    assert picture["png"].stat().st_size > 5000


def test_ancestors_of_resampled_populations_reach_the_test():
    """TDS names the ancestor of every particle, and coverage keeps one particle of each."""
    from skyscore.likelihoods import GaussianLikelihood
    from skyscore.operators import MatrixOperator
    from skyscore.priors import GaussianPrior

    prior = GaussianPrior(torch.zeros(2), torch.eye(2))
    truths = prior.sample(6, torch.Generator().manual_seed(0))
    y = truths + 0.5 * torch.randn(truths.shape, generator=torch.Generator().manual_seed(1))
    drawn = sample("tds", prior, GaussianLikelihood(MatrixOperator(torch.eye(2)), y, 0.5), 8, steps=8)
    ancestors = np.array(drawn.diagnostics["ancestors"])
    assert ancestors.shape == (6, 8)
    unique = np.mean([len(set(row)) for row in ancestors])
    images, theta = drawn.x.numpy().reshape(6, 8, 1, 1, 2), truths.numpy().reshape(6, 1, 1, 2)
    numbers, _ = coverage_of(images, theta, y.numpy().reshape(theta.shape), ancestors)
    assert numbers["tarp_samples_kept"] == pytest.approx(unique)


def test_pooled_samples_are_held_against_the_prior():
    g = np.random.default_rng(0)
    samples, draws = g.standard_normal((256, 2, 1, 3, 3)), g.standard_normal((600, 1, 3, 3))
    assert pooled_of(samples, draws)["pqmass_pooled_p"] > 0.01
    assert pooled_of(samples + 0.5, draws)["pqmass_pooled_p"] < 0.01
    assert pooled_of(samples[:255], draws) == {}
    assert noise_residuals_of(samples[:40, 0], draws)["pqmass_residual_p"] > 0.01
    assert noise_residuals_of(samples[:39, 0], draws) == {}
