"""Which problems belong to a target, which samplers each has, and which priors they use."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from plan.problems import Problems
from tests.helpers.plan import Views, wildcards


@pytest.fixture(scope="module")
def laptop() -> Problems:
    return Views().problems


@pytest.fixture(scope="module")
def real() -> Problems:
    return Views("real").problems


def test_problems_of_a_target(laptop, real):
    assert laptop.of("simulated") == ["hst", "kappa", "lens", "radio"]
    assert laptop.of("simulated", "lens") == ["lens"]  # the exercises of the lens are apart
    assert laptop.of("real") == laptop.of("exact") == real.of("exact") == []
    assert real.of("real", "kappa") == ["cosmos", "cosmos360"]
    assert real.of("simulated") == laptop.of("simulated")


def test_certificates_are_of_simulated_problems(laptop, real):
    assert laptop.certified("simulated") == laptop.of("simulated")
    assert laptop.certified("simulated", "hst") == ["hst"]
    assert real.certified("real") == []


def test_samplers_of_a_problem(laptop):
    assert laptop.default_sampler("lens") == "mmps"
    # the default one and those of `validation.samplers`, in the problem's order
    assert laptop.validated_samplers("lens") == ["mmps", "cla"]
    assert laptop.samplers_compared("simulated", "validated")["lens"] == ["mmps", "cla"]
    assert laptop.samplers_compared("simulated", "all")["lens"] == ["mmps", "tds", "cla"]
    assert laptop.samplers_compared("real", "all") == {}


def test_simulations_of_a_problem():
    assert Views().problems.simulations("lens") == 64
    assert Views(problems={"lens": {"simulations": 7}}).problems.simulations("lens") == 7


def test_exercises_begin_with_the_problem_whose_truth_they_share(laptop, real):
    assert laptop.exercises("simulated") == ["prior", "snr", "truth"] and real.exercises("real") == []
    assert laptop.cases("snr") == ["lens", "faint", "fainter", "faintest"]
    assert laptop.cases("prior") == ["lens", "gaussianlens"]
    assert laptop.cases("truth") == ["letter", "faintletter"]


def test_labels_of_cases_are_the_settings_that_differ(laptop):
    assert laptop.labels("snr") == {
        "lens": "lens, snr 30",
        "faint": "faint, snr 3",
        "fainter": "fainter, snr 0.3",
        "faintest": "faintest, snr 0.03",
    }
    assert laptop.labels("prior")["gaussianlens"] == "gaussianlens, prior gaussian32, truth galaxies32"
    assert laptop.labels("prior")["lens"] == "lens, prior galaxies32"  # it has no `truth` of its own


def test_priors_of_a_target(laptop, real):
    assert laptop.priors("simulated") == ["galaxies32", "kappa32", "noise32"]
    assert laptop.priors("simulated", "kappa") == [
        "kappa32",
        "noise32",
    ]  # the inference under a learned noise
    assert laptop.learned_noise_of("simulated") == ["noise32"] and real.learned_noise_of("real") == []
    assert real.priors("real", "kappa") == ["kappa360", "kappa96"]
    assert real.priors("real", "radio") == ["galaxies64"]


def test_pixels_are_those_of_the_prior(laptop, real):
    assert (laptop.pixels("lens"), real.pixels("cosmos360"), real.pixels("cosj100024ring")) == (32, 360, 64)


def test_patterns_are_filled(laptop):
    pattern = "a/{problem}/{sampler}/{prior}"
    assert laptop.filled(pattern, [("kappa", "gibbs")]) == ["a/kappa/gibbs/kappa32"]
    each = laptop.each("{problem}_{sampler}", "simulated", "radio")
    assert each == ["radio_mmps", "radio_cla"]
    assert laptop.by_validated("{problem}_{sampler}")(wildcards(problem="lens")) == ["lens_mmps", "lens_cla"]
    cases = laptop.by_case("{problem}_{sampler}_{prior}")(wildcards(exercise="prior"))
    assert cases == ["lens_mmps_galaxies32", "gaussianlens_mmps_gaussian32"]


def test_a_problem_by_its_name(laptop):
    assert isinstance(laptop["lens"], Mapping) and laptop["lens"]["kind"] == "lens"
    with pytest.raises(KeyError):
        laptop["lense"]
