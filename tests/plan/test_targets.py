"""What the targets of the Snakefile consist of."""

from __future__ import annotations

import re

import pytest
from snakemake.exceptions import WorkflowError

from tests.helpers.plan import Views, wildcards


@pytest.fixture(scope="module")
def laptop() -> Views:
    return Views()


@pytest.fixture(scope="module")
def real() -> Views:
    return Views("real")


def names(paths: list[str]) -> set[str]:
    return {path.rsplit("/", 1)[1].removesuffix(".pdf") for path in paths}


def test_figures_of_the_laptop(laptop):
    found = names(laptop.targets.figures("simulated"))
    assert {
        "lens_mmps",
        "lens_tds",
        "comparison_hst",
        "coverage_lens",
        "moments_radio",
        "prior_kappa32",
    } <= found
    assert {"certificates", "samplers_validated", "control", "exercise_snr", "slic", "exact"} <= found
    assert not {
        name for name in found if name.startswith(("family", "clusters", "profile", "coverage_faint"))
    }


def test_figures_of_real_objects(real):
    found = names(real.targets.figures("real"))
    assert {"family", "clusters_cosmos_gibbs", "profile_as209_mmps", "sdssj1430_cla"} <= found
    assert not {
        name for name in found if name.startswith(("certificates", "control", "exercise", "exact", "slic"))
    }
    assert "profile_m87_mmps" not in found  # it has no file of that role


def test_figures_of_one_kind_are_a_part(real):
    every = real.targets.figures("real")
    for kind, own in (
        ("lens", "family"),
        ("kappa", "clusters_cosmos_gibbs"),
        ("radio", "profile_as209_mmps"),
    ):
        part = real.targets.figures("real", kind)
        assert set(part) < set(every) and own in names(part)
    assert not {"family", "clusters_cosmos_gibbs"} & names(real.targets.figures("real", "radio"))


def test_one_lens_is_no_family():
    """Own files instead of the shipped problems: a single lens."""
    views = Views()
    views.config["problems"] = {"mine": views.config["problems"]["lens"] | {"files": {"image": "a.fits"}}}
    assert views.targets.family() == ["mine"]
    assert "family" not in names(views.targets.figures("real"))


def test_numbers_come_from_every_job_that_validates(laptop):
    found = laptop.targets.numbers("simulated")
    assert {
        "<results>/priors/noise32/pqmass.json", "<results>/lens/observation.json", "<results>/kappa/baselines.json",
        "<results>/hst/comparison.json", "<results>/lens/tds/residuals.json", "<results>/exercises/prior.json",
        "<results>/slic/parameters.json", "<results>/exact/mmps/blur.json", "<results>/lens/cla/certificate.json",
        "<results>/control.json",
    } <= set(found)  # fmt: skip
    assert "<results>/lens/tds/certificate.json" not in found  # neither the default sampler nor asked for
    assert len(found) == len(set(found))


def test_tests_of_a_sampler(laptop):
    found = laptop.targets.tests("lens", ["mmps"])
    kinds = {path.rsplit("/", 1)[1] for path in found}
    assert kinds == {"coverage.json", "mira.json", "moments.json", "pqmass.json", "certificate.json"}
    every = laptop.targets.tests_of_samplers("simulated", "all")
    assert "<results>/lens/tds/mira.json" in every
    assert "<results>/lens/tds/mira.json" not in laptop.targets.tests_of_samplers("simulated", "validated")


def test_certificates_are_those_of_validated_samplers(laptop, real):
    found = laptop.targets.certificates("simulated")
    assert "<results>/lens/mmps/certificate.json" in found and len(found) == 4 * 2
    assert real.targets.certificates("real") == []


def test_the_exact_benchmark(laptop, real):
    assert len(laptop.targets.exact("simulated")) == 6 * 2
    assert laptop.targets.exact("exact") == laptop.targets.exact("simulated")
    assert real.targets.exact("real") == []


def test_products_of_a_whole_target_end_in_the_numbers(laptop):
    found = laptop.targets.products("simulated")(wildcards())
    assert "<results>/numbers.json" in found and "<results>/lens/observation.json" not in found
    assert "<results>/lens/tds/posterior.fits" in found
    assert set(laptop.targets.figures("simulated")) < set(found)


def test_products_of_a_part_are_its_own_numbers(real):
    found = real.targets.products("real", "kappa")(wildcards())
    assert "<results>/numbers.json" not in found and "<results>/cosmos/gibbs/residuals.json" in found
    assert not [path for path in found if re.search("sdssj|as209", path)]


def test_damaged_files_are_asked_for_with_the_whole(real):
    def damaged():
        return ["results/real/a.json"]

    assert "results/real/a.json" in real.targets.products("real", damaged=damaged)(wildcards())
    assert "results/real/a.json" not in real.targets.products("real", "kappa", damaged)(wildcards())


def test_a_target_without_problems_says_what_to_do(laptop):
    wanted = laptop.targets.products(
        "real", "lens"
    )  # found out when it is asked for, not when rules are read
    with pytest.raises(
        WorkflowError, match=r"no real problem is configured; add --configfile config/real\.yaml"
    ):
        wanted(wildcards())
