"""The configuration: strict and complete. A mistake is answered with one line that names the nearest right word."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml

from skyscore.config.settings import SettingsError, check_config
from tests.helpers.configuration import SHIPPED, shipped


@pytest.mark.parametrize("name", SHIPPED)
def test_every_configuration_is_valid_and_complete(name):
    complete = check_config(shipped(name))
    assert complete == check_config(complete)  # with all defaults in it is still a configuration


def test_defaults_are_filled_in_at_every_depth():
    config = check_config({"problems": {}, "exact": {}})
    assert config["seed"] == 1
    assert config["exact"]["samplers"] == []
    full = check_config(shipped())
    assert full["priors"]["galaxies32"]["training"]["batch"] >= 1
    assert full["problems"]["lens"]["lens"]["theta_E"] > 0


def test_defaults_belong_to_one_configuration():
    """A list that is changed in one checked configuration is not changed in the next."""
    one = check_config(shipped())
    one["problems"]["lens"]["annulus"].append(9.0)
    one["datasets"]["galaxies32"]["galaxies"]["disk_radius"].clear()
    other = check_config(shipped())
    assert len(other["problems"]["lens"]["annulus"]) == 2
    assert len(other["datasets"]["galaxies32"]["galaxies"]["disk_radius"]) == 2


def test_the_given_configuration_is_left_as_it_is():
    config = shipped()
    before = copy.deepcopy(config)
    check_config(config)
    assert config == before


# ---------------------------------------------------------------------------- text that stands for something else


def changed(path: str, value: Any, config: dict | None = None) -> dict:
    """The default configuration with one key changed; blocks that are not there are added."""
    config = shipped() if config is None else config
    *parents, key = path.split(".")
    node = config
    for parent in parents:
        node = node.setdefault(parent, {})
    node[key] = value
    return config


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("train", "true", True),  # as --config train=true arrives
        ("compile", "false", False),
        ("priors.galaxies32.training.learning_rate", "1e-4", 1e-4),
        ("problems.lens.snr", "1e3", 1000.0),
        ("problems.lens.snr", "1.5E2", 150.0),
        ("priors.galaxies32.training.steps", "2e4", 20000),
        ("problems.lens.lens.gamma_1", "-1e-2", -0.01),
        ("samplers.mmps.tolerance", "1e-5", 1e-5),
    ],
)
def test_booleans_and_numbers_that_yaml_reads_as_text(path, text, value):
    assert yaml.safe_load(f"key: {text}")["key"] == text or text in ("true", "false")
    node = check_config(changed(path, text))
    for key in path.split("."):
        node = node[key]
    assert node == value and type(node) is type(value)


# ---------------------------------------------------------------------------- mistakes


MISTAKES = [
    ("sede", 1, "sede: unknown key 'sede'; did you mean 'seed'?"),
    (
        "problems.lens.n_sample",
        1,
        "problems.lens.n_sample: unknown key 'n_sample'; did you mean 'n_samples'?",
    ),
    ("problems.lens.lens.theta_e", 1, "unknown key 'theta_e'; did you mean 'theta_E'?"),
    ("priors.galaxies32.training.step", 1, "unknown key 'step'; did you mean 'steps'?"),
    ("samplers.mmps.cg_step", 3, "unknown key 'cg_step'; did you mean 'cg_steps'?"),
    ("samplers.mmps.zeta", 3, "samplers.mmps.zeta: unknown key 'zeta'"),  # an option of another sampler
    ("samplers.mmps.cg_steps", "four", "samplers.mmps.cg_steps is 'four', expected integer"),
    ("samplers.mmps.cg_steps", 4.5, "samplers.mmps.cg_steps is 4.5, expected integer"),
    ("samplers.mmps.name", "mmsp", "samplers.mmps.name: there is no sampler 'mmsp'; did you mean 'mmps'?"),
    (
        "problems.lens.samplers",
        ["tsd"],
        "problems.lens.samplers: there is no sampler 'tsd'; did you mean 'tds'?",
    ),
    ("exact.samplers", ["cal"], "exact.samplers: there is no sampler 'cal'; did you mean 'cla'?"),
    (
        "problems.lens.kind",
        "lense",
        "problems.lens.kind: there is no kind of problem 'lense'; did you mean 'lens'?",
    ),
    (
        "datasets.galaxies32.kind",
        "galaxy",
        "datasets.galaxies32.kind: there is no kind of data set 'galaxy'; did you mean 'galaxies'?",
    ),
    ("problems.lens.prior", "galaxies23", "there is no prior 'galaxies23'; did you mean 'galaxies32'?"),
    (
        "problems.hst.noise",
        "nois32",
        "problems.hst.noise: there is no prior 'nois32'; did you mean 'noise32'?",
    ),
    ("problems.faint.truth", "x", "problems.faint.truth: there is no dataset 'x'"),
    ("problems.faint.shares_truth_with", "lems", "there is no problem 'lems'; did you mean 'lens'?"),
    ("slic.prior", "noise", "slic.prior: there is no prior 'noise'; did you mean 'noise32'?"),
    ("validation.samplers", ["cal"], "validation.samplers: there is no sampler 'cal'; did you mean 'cla'?"),
    ("priors.galaxies32.dataset", "x", "priors.galaxies32.dataset: there is no dataset 'x'"),
    ("seed", "one", "seed is 'one', expected integer"),
    ("seed", True, "seed is True, expected integer"),
    ("seed", 1.0, "seed is 1.0, expected integer"),
    ("seed", "1.5e0", "seed is '1.5e0', expected integer"),
    ("seed", -1, "seed is -1, must be at least 0"),
    ("problems.lens.snr", float("nan"), "problems.lens.snr is nan, expected number"),
    ("problems.lens.snr", "1e999", "problems.lens.snr is inf, expected number"),
    ("problems.lens.snr", 0, "problems.lens.snr is 0, must be greater than 0"),
    ("target", "reel", 'target is \'reel\', not one of "simulated", "real", "exact"; did you mean \'real\'?'),
    ("train", "ful", "train is 'ful', not one of false, true, \"full\"; did you mean 'full'?"),
    ("train", 1, "train is 1, expected boolean or string"),
    ("datasets.galaxies32.pixels", 8, "pixels is 8, must be at least 16"),
    ("datasets.galaxies32", 8, "datasets.galaxies32 is 8, expected object"),
    ("datasets", [], "datasets is [], expected object"),
    ("problems.lens.samplers", [], "must have at least 1"),
    ("problems.lens.samplers", "mmps", "problems.lens.samplers is 'mmps', expected array"),
    ("datasets.galaxies32.galaxies", {"axis_ratio": [1]}, "must have at least 2"),
    ("priors.Galaxies", {}, "priors.Galaxies: a name may hold lower-case letters and digits only"),
    ("priors.other", {}, "priors.other: the key 'dataset' is missing"),
    ("problems.lense", {"n_samples": 4}, "problems.lense: the key 'kind' is missing"),
    ("problems.lense", {"n_samples": 4}, "; did you mean 'lens'?"),
    ("problems.lense", {"snr": 4}, "problems.lense: the key 'kind' is missing"),  # a key of one kind
    ("priors.galaxies23", {"training": {"steps": 9}}, "; did you mean 'galaxies32'?"),
    ("problems.radio.antenas", 9, "unknown key 'antenas'; did you mean 'antennas'?"),
    ("problems.mine", {"knid": "lens"}, "problems.mine.knid: unknown key 'knid'; did you mean 'kind'?"),
    ("samplers.mmp", {"cg_steps": 3}, "samplers.mmp: the key 'name' is missing"),
    ("samplers.mmp", {"cg_steps": 3}, "; did you mean 'mmps'?"),
    ("pathvars.results", "a b", "pathvars.results is 'a b', expected a match"),
    ("problems.lens.files", {"imgae": "a.fits"}, "there is no role of a file 'imgae'; did you mean 'image'?"),
    ("problems.hst.files", {"f150w": "a", "f99w_psf": "b"}, "files.f99w_psf: there is no role of a file"),
]


@pytest.mark.parametrize(
    ("path", "value", "answer"), MISTAKES, ids=[f"{m[0]}={m[1]}: {m[2]}" for m in MISTAKES]
)
def test_a_mistake_is_one_clear_line(path, value, answer):
    with pytest.raises(SettingsError) as error:
        check_config(changed(path, value), "config/mine.yaml")
    message = str(error.value)
    assert message.startswith("config/mine.yaml: ")
    assert answer in message
    assert "\n" not in message


def test_names_that_yaml_reads_as_numbers():
    config = shipped()
    config["datasets"][64] = {"pixels": 64}
    with pytest.raises(
        SettingsError, match=r"^mine\.yaml: datasets\.64: a name must be text; put it in quotes$"
    ):
        check_config(config, "mine.yaml")


@pytest.mark.parametrize("wrong", [None, [], "text", 3])
def test_a_file_that_is_no_configuration(wrong):
    with pytest.raises(SettingsError, match=r"^mine\.yaml is .*, expected object; "):
        check_config(wrong, "mine.yaml")


def test_a_long_value_is_cut_in_the_message():
    with pytest.raises(SettingsError) as error:
        check_config(changed("seed", "x" * 10_000), "mine.yaml")
    assert len(str(error.value)) < 500
