"""What decides the numbers of a job: its seed and its settings."""

from __future__ import annotations

import pytest

from plan.parameters import Parameters
from skyscore.seeds import job_seed
from tests.helpers.plan import Views, wildcards


@pytest.fixture(scope="module")
def parameters() -> Parameters:
    return Views().parameters


# ---------------------------------------------------------------------------- seeds


def test_seeds_are_those_of_the_library(parameters):
    lens = wildcards(problem="lens", sampler="mmps")
    assert parameters.seed("sample")(lens) == job_seed(1, "sample", "lens", "mmps")
    assert Views(seed=2).parameters.seed("sample")(lens) == job_seed(2, "sample", "lens", "mmps")


def test_no_two_jobs_share_a_seed(parameters):
    names = [("lens", "mmps"), ("lens", "cla"), ("kappa", "cla")]
    seeds = {
        parameters.seed(rule)(wildcards(problem=problem, sampler=sampler))
        for rule in ("sample", "residuals")
        for problem, sampler in names
    }
    assert len(seeds) == 2 * len(names)


def test_problems_that_share_a_truth_share_its_seed(parameters):
    def seed(name):
        return parameters.seed_of_observation(wildcards(problem=name))

    assert (
        seed("lens") == seed("faint") == seed("fainter") == seed("faintest") == job_seed(1, "observe", "lens")
    )
    assert seed("letter") == seed("faintletter") != seed("lens")


def test_all_parts_of_an_ensemble_have_one_seed_and_their_own_first_simulation(parameters):
    parts = [wildcards(problem="lens", sampler="cla", part=part) for part in ("0", "3")]
    seeds = {parameters.seed_of_ensemble(part) for part in parts}
    assert seeds == {job_seed(1, "sample_ensemble", "lens", "cla")}
    chunk = Views().config["validation"]["chunk"]
    assert [parameters.first_of_part(part) for part in parts] == [0, 3 * chunk]


def test_training_and_held_out_images_have_seeds_of_their_own(parameters):
    train, held_out = (
        parameters.seed_of_images(wildcards(dataset="galaxies32", split=split))
        for split in ("train", "held_out")
    )
    assert train == job_seed(1, "prepare", "galaxies32")
    assert held_out == job_seed(1, "prepare", "galaxies32", "held_out") != train


# ---------------------------------------------------------------------------- settings


def test_what_decides_images(parameters):
    found = parameters.dataset(wildcards(dataset="letters32", split="held_out"))
    assert (found["n"], found["pixels"], found["kind"]) == (16, 32, "shapes")
    assert found["shapes"]["forms"] == ["letter"]
    assert set(found) == {"n", "pixels", "kind", "shapes"}
    assert parameters.dataset(wildcards(dataset="galaxies32", split="train"))["n"] == 24000


@pytest.mark.parametrize(("train", "steps"), [(True, 4000), ("full", 13000), (False, 13000)])
def test_short_and_full_training(train, steps):
    found = Views(train=train).parameters.prior(wildcards(prior="galaxies32"))
    assert found["training"]["steps"] == steps


def test_short_training_is_never_longer_than_the_full_one():
    found = Views("test", train=True).parameters.prior(wildcards(prior="galaxies16"))
    assert found["training"]["steps"] == 40


def test_what_decides_weights(parameters):
    prior = wildcards(prior="galaxies32")
    found = parameters.prior(prior)
    assert set(found) == {"kind", "pixels", "images", "network", "training"}
    assert found["images"]["n"] == 24000 and "galaxies" in found["images"] and "data" not in found["images"]
    apart = {"checkpoint_every": 7, "devices": 2, "short": 9, "precision": "float32"}
    assert Views(priors={"galaxies32": {"training": apart}}).parameters.prior(prior) == found
    assert Views(priors={"galaxies32": {"training": {"steps": 5}}}).parameters.prior(prior) != found
    cut = Views("real").parameters.prior(wildcards(prior="sky32"))
    assert cut["images"]["data"] == ["cosj100018", "cosj100028"]


def test_what_decides_an_observation(parameters):
    lens = wildcards(problem="lens")
    found = parameters.problem(lens)
    assert found["kind"] == "lens" and found["snr"] == 30
    # what is drawn from it later, and how much of that, does not
    later = {"samplers": ["cla"], "n_samples": 3, "simulations": 5}
    assert Views(problems={"lens": later}).parameters.problem(lens) == found
    assert Views(problems={"lens": {"snr": 10}}).parameters.problem(lens) != found


def test_a_learned_noise_is_known_by_what_it_was_learned_from(parameters):
    found = parameters.problem(wildcards(problem="hst"))
    assert found["noise"] == Views().config["datasets"]["noise32"]["noise"]
    assert parameters.has_learned_noise(wildcards(problem="hst"))
    assert not parameters.has_learned_noise(wildcards(problem="lens"))


def test_the_sampler_that_leads(parameters):
    assert parameters.is_default(wildcards(problem="lens", sampler="mmps"))
    assert not parameters.is_default(wildcards(problem="lens", sampler="cla"))
    assert parameters.validated(wildcards(problem="lens")) == ["mmps", "cla"]


def test_settings_of_the_exact_benchmark_leave_out_which_samplers_are_measured(parameters):
    found = parameters.exact(wildcards(sampler="cla", task="blur"))
    fewer = Views(exact={"samplers": ["cla"], "tasks": ["blur"]})
    assert fewer.parameters.exact(wildcards(sampler="cla", task="blur")) == found
    assert (found["priors"], found["repeats"]) == (1, 4)


def test_settings_of_the_inference_under_a_learned_noise(parameters):
    assert parameters.slic(wildcards()) == {
        key: value for key, value in Views().config["slic"].items() if key != "prior"
    }


def test_roles_and_simulations():
    views = Views("real")
    assert views.parameters.roles(wildcards(problem="as209")) == ["visibilities", "profile"]
    assert views.parameters.roles(wildcards(problem="lens")) == []
    roles = views.parameters.roles_of_images(wildcards(dataset="sky814"))
    assert "cosj100024/f814w" in roles and roles == list(views.files.of_images("sky814"))
    assert views.parameters.simulations(wildcards(problem="lens")) == 64
