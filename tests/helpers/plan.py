"""The plan of a shipped configuration, made without Snakemake, and what Snakemake makes of the rule files."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from snakemake.iocontainers import Wildcards
from snakemake.utils import update_config

from plan.configuration import checked_table
from plan.figures import figures
from plan.files import Files
from plan.inputs import Inputs
from plan.parameters import Parameters
from plan.problems import Problems
from plan.resources import Resources
from plan.targets import Targets
from skyscore.config.settings import check_config

from .configuration import merged
from .workflow import OVERLAYS, ROOT, copy_workflow, run_snakemake

MIRRORED = ["--config", "mirror=mirror"]


def table_rows() -> list[dict[str, str]]:
    """The rows of config/datasets.tsv."""
    with open(ROOT / "config" / "datasets.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def configuration(*overlays: str, **changes: Any) -> dict[str, Any]:
    """The checked configuration: config.yaml, overlays by name, and changes on top of them."""
    config = merged(*(f"config/{name}.yaml" for name in ("config", *overlays)))
    update_config(config, changes)
    return check_config(config)


def wildcards(**values: str) -> Wildcards:
    """What Snakemake hands to the functions of a rule."""
    return Wildcards(fromdict=values)


class Views:
    """Creates the views of a configuration that the rules use.

    Arguments:
        overlays: names of configuration files over config.yaml.
        local, cores: as for `Resources`.
        changes: settings on top.
    """

    def __init__(self, *overlays: str, local: bool = True, cores: int | None = None, **changes: Any):
        self.config = configuration(*overlays, **changes)
        self.table = checked_table(ROOT)
        self.problems = Problems(self.config)
        self.files = Files(self.config, self.table, lambda keys: "config/config.yaml")
        self.inputs = Inputs(self.config, self.problems, self.files)
        self.targets = Targets(self.config, self.problems, self.files)
        self.needs = Resources(self.config, self.problems, lambda: local, cores)
        self.parameters = Parameters(self.config, self.problems, self.files)
        self.figures = figures(
            self.config["target"], self.problems, self.inputs, self.targets, self.parameters
        )


PROBE = """
import json

told = [
    {
        "name": rule.name,
        "script": rule.script,
        "conda": str(rule.conda_env or ""),
        "message": rule.message,
        "log": [str(path) for path in rule.log],
        "benchmark": str(rule.benchmark or ""),
        "output": [str(path) for path in rule.output],
        "threads": "_cores" in rule.resources,
        "resources": [name for name in rule.resources if not name.startswith("_")],
        "params": {name: value if isinstance(value, str) else None for name, value in rule.params.items()},
    }
    for rule in workflow.rules
]
print("rules:", json.dumps(told))
"""


def probe(folder: Path, text: str) -> None:
    """Adds Python at the end of a copy's Snakefile."""
    (folder / "workflow" / "rules" / "probe.smk").write_text(text)
    with open(folder / "Snakefile", "a") as file:
        file.write('\n\ninclude: "workflow/rules/probe.smk"\n')


def rules_in(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Rules of a probed copy as Snakemake has read them, by name; those without a script are targets."""
    said = run_snakemake("--list-rules", *arguments, cwd=folder).stdout
    lines = [line for line in said.splitlines() if line.startswith("rules: ")]
    assert len(lines) == 1, said
    return {rule["name"]: rule for rule in json.loads(lines[0].removeprefix("rules: "))}


@cache
def rules() -> Mapping[str, dict[str, Any]]:
    """Rules with a script of the default configuration."""
    with TemporaryDirectory() as folder:
        probe(copy_workflow(Path(folder)), PROBE)
        found = rules_in(Path(folder), *OVERLAYS["default"])
    return {name: rule for name, rule in found.items() if rule["script"]}
