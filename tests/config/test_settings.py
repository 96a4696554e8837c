"""The configuration: strict, complete, described; a mistake is answered in one line with the nearest right word."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import pytest
import yaml

from docs.make.sizes import sizes
from skyscore.config import settings

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ["config", "test", "real", "paper", "exact"]


def merged(base: dict, overlay: dict) -> dict:
    """As Snakemake merges configuration files."""
    result = copy.deepcopy(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def load(name: str = "config") -> dict:
    base = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    return (
        base
        if name == "config"
        else merged(base, yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text()))
    )


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_configuration_is_valid_and_complete(name):
    complete = settings.check_config(load(name))
    assert complete == settings.check_config(complete)  # with all defaults in it is still a configuration


def test_defaults_are_filled_in_at_every_depth():
    config = settings.check_config({"problems": {}, "exact": {}})
    assert config["seed"] == 1
    assert config["exact"]["samplers"] == []
    full = settings.check_config(load())
    assert full["priors"]["galaxies32"]["training"]["batch"] >= 1
    assert full["problems"]["lens"]["lens"]["theta_E"] > 0


def walk(node, path=""):
    yield path, node
    for key in ("properties", "$defs"):
        for name, item in node.get(key, {}).items():
            yield from walk(item, f"{path}/{name}")


@pytest.mark.parametrize("name", ["config", "datasets"])
def test_every_key_is_strict_and_described(name):
    for path, node in walk(settings.load_schema(name)):
        if node.get("type") == "object":
            assert "additionalProperties" in node, path
            assert node["additionalProperties"] is not True, path
        inside = "/" in path.strip("/") or name == "datasets"
        if path and "$defs" not in path and inside and "properties" not in node and path.count("/") > 1:
            assert node.get("description"), path


def test_every_setting_of_a_problem_is_described():
    for kind, schema in settings.problem_kinds().items():
        assert schema, f"{kind}: SETTINGS is not a literal"
        for path, node in walk(schema):
            if path:
                assert node.get("description"), f"{kind}{path}"
                assert "default" in node or node.get("type") == "object", f"{kind}{path}"


def test_options_of_samplers_are_those_of_the_code():
    """The options are read from the source text; the classes must agree."""
    from skyscore.samplers import SAMPLERS, options_of

    found = settings.sampler_options()
    assert set(found) == set(SAMPLERS)
    for name, sampler in SAMPLERS.items():
        assert set(found[name]) == options_of(sampler) | {"steps"}
        assert all(about["description"] for about in found[name].values()), name


def test_tasks_of_the_exact_benchmark_are_those_of_the_code():
    from skyscore.validation.exact import TASKS

    tasks = settings.load_schema("config")["$defs"]["exact"]["properties"]["tasks"]
    assert tasks["default"] == tasks["items"]["enum"] == list(TASKS)


def test_kinds_of_problems_are_those_of_the_code():
    from skyscore.problems import PROBLEMS

    assert set(settings.problem_kinds()) == set(PROBLEMS)
    for kind, problem in PROBLEMS.items():
        assert settings.problem_kinds()[kind] == problem.SETTINGS


def test_readme_is_generated():
    made = (ROOT / "config" / "README.md").read_text()
    assert made == settings.described() + sizes(), "run: python -m skyscore.config.settings"


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
    ("problems.lens.prior", "galaxies23", "there is no prior 'galaxies23'; did you mean 'galaxies32'?"),
    ("priors.galaxies32.dataset", "x", "priors.galaxies32.dataset: there is no dataset 'x'"),
    ("seed", "one", "seed is 'one', expected integer"),
    ("seed", True, "seed is True, expected integer"),
    ("seed", -1, "seed is -1, must be at least 0"),
    ("target", "reel", 'target is \'reel\', not one of "simulated", "real", "exact"; did you mean \'real\'?'),
    ("train", "ful", "train is 'ful', not one of false, true, \"full\"; did you mean 'full'?"),
    ("datasets.galaxies32.pixels", 8, "pixels is 8, must be at least 16"),
    ("problems.lens.samplers", [], "must have at least 1"),
    ("datasets.galaxies32.galaxies", {"axis_ratio": [1]}, "must have at least 2"),
    ("priors.Galaxies", {}, "a name may hold lower-case letters and digits only"),
    ("priors.other", {}, "priors.other: the key 'dataset' is missing"),
    ("problems.lense", {"n_samples": 4}, "problems.lense: the key 'kind' is missing"),
    ("problems.lense", {"n_samples": 4}, "; did you mean 'lens'?"),
    ("priors.galaxies23", {"training": {"steps": 9}}, "; did you mean 'galaxies32'?"),
    ("problems.radio.antenas", 9, "unknown key 'antenas'; did you mean 'antennas'?"),
    ("problems.mine", {"knid": "lens"}, "problems.mine.knid: unknown key 'knid'; did you mean 'kind'?"),
    ("samplers.mmp", {"cg_steps": 3}, "samplers.mmp: the key 'name' is missing"),
    ("samplers.mmp", {"cg_steps": 3}, "; did you mean 'mmps'?"),
    ("pathvars.results", "a b", "pathvars.results is 'a b', expected a match"),
]


@pytest.mark.parametrize(
    ("path", "value", "answer"), MISTAKES, ids=[f"{m[0]}={m[1]}: {m[2]}" for m in MISTAKES]
)
def test_a_mistake_is_one_clear_line(path, value, answer):
    config = load()
    *parents, key = path.split(".")
    node = config
    for parent in parents:
        node = node.setdefault(parent, {})
    node[key] = value
    with pytest.raises(settings.SettingsError) as error:
        settings.check_config(config, "config/mine.yaml")
    message = str(error.value)
    assert message.startswith("config/mine.yaml: ")
    assert answer in message
    assert "\n" not in message


def rows() -> list[dict]:
    with open(ROOT / "config" / "datasets.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_the_table_of_data_sets():
    table = settings.check_table(rows(), "datasets.tsv")
    assert {row["file"] for row in table if row["dataset"] == "sdssj1430"} == {
        "image",
        "mask",
        "noise_map",
        "psf",
    }
    assert all(isinstance(row["bytes"], int) for row in table if row["fetch"] == "auto")
    by_hand = {row["dataset"] for row in table if row["fetch"] == "manual"}
    assert by_hand >= {"probes", "kappatng", "massivenus", "dsharp", "galsimcosmos"}
    assert len({row["url"] for row in table}) == len(table)


@pytest.mark.parametrize(
    ("column", "value", "answer"),
    [
        ("sha256", "abc", "line 2.sha256 is 'abc'"),
        ("bytes", "many", "line 2.bytes is 'many', expected integer"),
        ("url", "ftp://host/file", "line 2.url"),
        ("license", "MIT", "unknown key 'license'; did you mean 'licence'?"),
        ("fetch", "never", "line 2.fetch is 'never', not one of"),
        ("sha256", "", "line 2: the key 'sha256' is missing; only rows with `fetch` manual may leave it out"),
    ],
)
def test_a_wrong_table_is_one_clear_line(column, value, answer):
    table = rows()
    table[0][column] = value
    with pytest.raises(settings.SettingsError, match=r"^datasets\.tsv: ") as error:
        settings.check_table(table, "datasets.tsv")
    assert answer in str(error.value)
    assert "\n" not in str(error.value)
