"""sample("default", ...): what it takes for whom, and that this is what the configurations name and certify."""

from __future__ import annotations

import pytest
import torch
import yaml
from conftest import ROOT
from test_samplers import bimodal

from skyscore.problems import PROBLEMS
from skyscore.samplers import sample
from skyscore.samplers.choice import chosen
from skyscore.samplers.table import example
from skyscore.settings import check_config
from skyscore.simulate import SIMULATORS


def configured(name):
    return check_config(yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))


@pytest.mark.parametrize("name", ["lens", "radio", "kappa"])
def test_simulated_problems_get_the_sampler_that_is_certified_for_them(name):
    config = configured("config")
    problem = config["problems"][name]
    own = {key: value for key, value in problem.items() if key not in ("kind", "data", "files")}
    data = config["datasets"][config["priors"][problem["prior"]]["dataset"]]
    images = SIMULATORS[data["kind"]].simulate(16, data["pixels"], data[data["kind"]], 0)
    observed = PROBLEMS[problem["kind"]].simulate(own, images, 0)
    taken = chosen(PROBLEMS[problem["kind"]](observed).likelihood)
    assert taken == config["samplers"][problem["samplers"][0]]


def test_learned_noise_gets_the_sampler_that_is_certified_for_it():
    _, likelihood = example(learned=True)
    config = configured("config")
    assert chosen(likelihood) == config["samplers"][config["problems"]["hst"]["samplers"][0]]


def test_small_images_get_particles_as_the_exact_benchmark_has_them():
    _, likelihood = bimodal()
    exact = yaml.safe_load((ROOT / "config" / "exact.yaml").read_text())["samplers"]
    assert chosen(likelihood) == {"name": "tds"} | exact["tds"]


def test_the_default_says_what_it_took_and_options_override_its_own():
    prior, likelihood = bimodal()
    found = sample("default", prior, likelihood, 40, steps=24, particles=1.0)
    named = sample("tds", prior, likelihood, 40, steps=24, particles=1.0)
    assert found.diagnostics["sampler"] == "tds" and torch.equal(found.x, named.x) and found.nfe <= 24
    with pytest.raises(ValueError, match="tds: unknown option 'twists'"):
        sample("default", prior, likelihood, 40, twists=1)
