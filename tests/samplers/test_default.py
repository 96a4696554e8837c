"""sample("default", ...): what it takes for whom, and that this is what the configurations name and certify."""

from __future__ import annotations

import pytest
import torch
import yaml

from docs.make.sampler_table import example
from skyscore.config.settings import check_config
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.problems import PROBLEMS
from skyscore.samplers import sample
from skyscore.samplers.default import FALLBACK, default_settings
from skyscore.simulate import SIMULATORS
from tests.helpers.closed_forms import bimodal
from tests.helpers.workflow import ROOT


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
    taken = default_settings(PROBLEMS[problem["kind"]](observed).likelihood)
    assert taken == config["samplers"][problem["samplers"][0]]


def test_learned_noise_gets_the_sampler_that_is_certified_for_it():
    _, likelihood = example(learned=True)
    config = configured("config")
    assert default_settings(likelihood) == config["samplers"][config["problems"]["hst"]["samplers"][0]]


def test_small_images_get_particles_as_the_exact_benchmark_has_them():
    _, likelihood = bimodal()
    exact = yaml.safe_load((ROOT / "config" / "exact.yaml").read_text())["samplers"]
    assert default_settings(likelihood) == {"name": "tds"} | exact["tds"]


def test_the_default_says_what_it_took_and_options_override_its_own():
    prior, likelihood = bimodal()
    found = sample("default", prior, likelihood, 40, steps=24, particles=1.0)
    named = sample("tds", prior, likelihood, 40, steps=24, particles=1.0)
    assert found.diagnostics["sampler"] == "tds" and torch.equal(found.x, named.x) and found.nfe <= 24
    with pytest.raises(ValueError, match="tds: unknown option 'twists'"):
        sample("default", prior, likelihood, 40, twists=1)


def collapsing(y):
    """Sharp data of half of the pixels, which foretell the others: few steps are no way for particles."""
    g = torch.Generator().manual_seed(0)
    R = torch.randn(30, 30, generator=g)
    prior = GaussianPrior(torch.zeros(30), R @ R.T / 3)
    return prior, GaussianLikelihood(MatrixOperator(torch.eye(30)[:15]), y, 1e-2)


def test_the_default_falls_back_loudly_where_particles_collapse():
    y = 5 * torch.randn(2, 15, generator=torch.Generator().manual_seed(1))
    prior, likelihood = collapsing(y[0])
    wild = {"steps": 4, "twist": "level", "particles": 1.0}
    with pytest.warns(UserWarning, match="default: particles collapsed; drawn by mmps instead"):
        found = sample("default", prior, likelihood, 60, **wild)
    named = sample("mmps", prior, likelihood, 60, **{k: v for k, v in FALLBACK.items() if k != "name"})
    assert torch.equal(found.x, named.x) and found.nfe > named.nfe
    assert found.diagnostics["sampler"] == "mmps" and found.diagnostics["fell_back"] == [1]
    with pytest.warns(UserWarning, match="instead"):
        found = sample("default", *collapsing(y), 60, **wild)
    assert found.x.shape == (2, 60, 30) and found.diagnostics["fell_back"] == [1, 1]
    exact = prior.posterior(likelihood)
    z = (found.x[0] - exact.mean) / exact.covariance.diagonal().sqrt()
    assert float(z.square().mean()) == pytest.approx(1, abs=0.25)
