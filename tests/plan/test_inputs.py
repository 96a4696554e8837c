"""What jobs read."""

from __future__ import annotations

import pytest

from plan.inputs import Inputs
from tests.helpers.plan import Views, wildcards

LENS, HST, KAPPA = (wildcards(problem=name) for name in ("lens", "hst", "kappa"))


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    return Views().inputs


@pytest.mark.parametrize(("train", "shipped"), [(False, True), (True, False), ("full", False)])
def test_a_prior_starts_from_shipped_weights_unless_it_is_trained(tmp_path, monkeypatch, train, shipped):
    monkeypatch.chdir(tmp_path)
    inputs, prior = Views(train=train).inputs, wildcards(prior="galaxies32")
    images = "<results>/data/galaxies32/train.h5"
    assert inputs.start_of_prior(prior) == images  # there are no weights
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "galaxies32.safetensors").touch()
    assert inputs.start_of_prior(prior) == ("weights/galaxies32.safetensors" if shipped else images)


def test_held_out_images(inputs):
    assert inputs.held_out_of_prior(wildcards(prior="kappa32")) == "<results>/data/convergence32/held_out.h5"
    assert inputs.held_out_of_learned_noise(wildcards()) == "<results>/data/noise32/held_out.h5"
    assert inputs.population(wildcards(problem="gaussianlens")) == "<results>/data/moments32/held_out.h5"


def test_truths_are_of_the_prior_unless_a_problem_says_otherwise(inputs):
    assert inputs.truths(LENS) == "<results>/data/galaxies32/held_out.h5"
    assert inputs.truths(wildcards(problem="letter")) == "<results>/data/letters32/held_out.h5"


def test_networks_and_draws(inputs):
    assert inputs.prior(KAPPA) == "<results>/priors/kappa32.safetensors"
    assert inputs.draws(KAPPA) == "<results>/priors/kappa32/samples.h5"


def test_a_learned_noise_where_there_is_one(inputs):
    assert inputs.noise(HST) == "<results>/priors/noise32.safetensors"
    assert inputs.drawn_noise(HST) == "<results>/priors/noise32/samples.h5"
    assert inputs.held_out_noise(HST) == "<results>/data/noise32/held_out.h5"
    assert inputs.noise(LENS) == inputs.drawn_noise(LENS) == inputs.held_out_noise(LENS) == []


def test_certificates_read_the_tests_of_all_that_was_learned(inputs):
    of = "<results>/priors/{}/pqmass.json".format
    assert inputs.tests_of_learned(HST) == [of("galaxies32"), of("noise32")]
    assert inputs.tests_of_learned(KAPPA) == [of("kappa32")]


def test_a_direct_regression_where_it_is_trained(inputs):
    assert inputs.regression(KAPPA) == "<results>/kappa/regression.safetensors"
    assert inputs.regression(LENS) == []
    off = Views(problems={"kappa": {"regression": 0}}).inputs
    assert off.regression(KAPPA) == []


def test_posteriors_of_a_problem(inputs):
    assert inputs.posteriors(LENS) == [
        f"<results>/lens/{sampler}/posterior.h5" for sampler in ("mmps", "tds", "cla")
    ]


@pytest.mark.parametrize(("chunk", "parts"), [(80, 1), (79, 2), (16, 5), (1, 80)])
def test_parts_of_an_ensemble_cover_all_simulations(chunk, parts):
    """64 simulations from the prior and 16 held-out ones."""
    found = Views(validation={"chunk": chunk}).inputs.ensembles(wildcards(problem="lens", sampler="cla"))
    assert found == [f"<results>/lens/cla/ensemble_{part}.h5" for part in range(parts)]


def test_files_of_real_problems():
    views = Views("real")
    assert views.inputs.files(wildcards(problem="as209")) == list(views.files.of_problem("as209").values())
    assert views.inputs.files(LENS) == []
    cut = views.inputs.files_of_images(wildcards(dataset="sky814"))
    assert cut == list(views.files.of("cosj100024", "a test").values())
