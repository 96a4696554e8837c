"""The schemas: every key is strict and described, its default is allowed, and editors accept what is shipped."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest
import yaml

from docs.make.config_schema import PATH, text
from skyscore.config.check import checked
from skyscore.config.kinds import dataset_kinds, problem_files, problem_kinds
from skyscore.config.schema import load_schema
from tests.helpers.configuration import shipped
from tests.helpers.workflow import ROOT

KINDS = {
    **{f"problem {kind}": schema for kind, schema in problem_kinds().items()},
    **{f"data set {kind}": schema for kind, schema in dataset_kinds().items()},
}


def keys(node: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Path and schema of every key below a schema."""
    for name, item in node.get("properties", {}).items():
        yield f"{path}/{name}", item
        yield from keys(item, f"{path}/{name}")
    entry = node.get("additionalProperties")
    if isinstance(entry, Mapping):
        yield from keys(entry, f"{path}/*")


SCHEMAS = {"configuration": load_schema("config"), "table": load_schema("datasets"), **KINDS}


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_key_is_strict_and_described(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    found = dict(keys(SCHEMAS[name]))
    assert found
    for path, node in found.items():
        assert node.get("description"), path
        if "object" in types(node):
            assert node.get("additionalProperties") not in (None, True), path


def types(node: Mapping[str, Any]) -> list[str]:
    return [node["type"]] if isinstance(node["type"], str) else node["type"]


def test_keys_are_found_at_every_depth():
    found = dict(keys(load_schema()))
    assert {"/seed", "/priors/*/training/steps", "/validation/control/side", "/problems/*/n_samples"} <= set(
        found
    )
    assert len(found) > 80


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_default_is_allowed(name):
    for path, node in keys(SCHEMAS[name]):
        if "default" in node and "names" not in node:
            checked(node["default"], node, f"{name}{path}")


@pytest.mark.parametrize("name", KINDS)
def test_every_setting_of_a_kind_has_a_default(name):
    for path, node in keys(KINDS[name]):
        assert "default" in node, f"{name}{path}"


def test_the_files_of_every_kind_of_problem_are_described():
    for kind, files in problem_files().items():
        assert files, kind
        assert all(isinstance(what, str) and what.endswith(".") for what in files.values()), kind


def test_tasks_of_the_exact_benchmark_are_those_of_the_code():
    from skyscore.validation.exact import TASKS

    tasks = load_schema()["properties"]["exact"]["properties"]["tasks"]
    assert tasks["default"] == tasks["items"]["enum"] == list(TASKS)


# ---------------------------------------------------------------------------- the schema for editors


CONFIGURATIONS = sorted([*(ROOT / "config").glob("*.yaml"), *(ROOT / "docs" / "examples").glob("*.yaml")])


def advertised(path) -> dict[str, Any]:
    """The schema that the first line of a configuration names, from its folder."""
    comment = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert comment, f"{path} names no schema in its first line"
    return json.loads((path.parent / comment[1]).read_text(encoding="utf-8"))


def errors(config: Any, schema: Mapping[str, Any]) -> list[str]:
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return [f"{error.json_path}: {error.message}" for error in validator(schema).iter_errors(config)]


def test_every_shipped_configuration_is_looked_at():
    assert len(CONFIGURATIONS) >= 9


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_an_editor_accepts_every_shipped_configuration(path):
    assert errors(yaml.safe_load(path.read_text(encoding="utf-8")), advertised(path)) == []


@pytest.mark.parametrize(
    "mistake",
    [
        {"sede": 1},
        {"seed": "one"},
        {"problems": {"lens": {"n_sampels": 4}}},
        {"problems": {"lens": {"lens": {"theta_e": 1}}}},
        {"problems": {"lens": {"kind": "lens", "antennas": 4}}},
        {"problems": {"lens": {"kind": "lense"}}},
        {"problems": {"lens": {"snr": "high"}}},
        {"samplers": {"mmps": {"cg_step": 3}}},
        {"samplers": {"mmps": {"name": "mmps", "zeta": 3}}},
        {"samplers": {"mmps": {"name": "mmps", "cg_steps": "four"}}},
        {"samplers": {"mine": {"name": "mmsp"}}},
        {"datasets": {"sky32": {"sky": {"reach": 3.0}}}},
        {"priors": {"galaxies32": {"training": {"step": 3}}}},
        {"slic": {"simulation": 8}},
    ],
    ids=json.dumps,
)
def test_an_editor_marks_a_mistake(mistake):
    schema = json.loads(PATH.read_text(encoding="utf-8"))
    assert errors(shipped(), schema) == []
    assert errors(mistake, schema)


def test_the_schema_for_editors_is_up_to_date():
    assert PATH.read_text(encoding="utf-8") == text(), "run: python -m docs.make.config_schema"
