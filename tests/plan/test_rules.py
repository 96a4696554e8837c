"""The rules as Snakemake reads them: what each says to a scheduler; no logic in their files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.helpers.plan import PROBE, probe, rules, rules_in
from tests.helpers.workflow import OVERLAYS, ROOT, run_snakemake

FILES = sorted((ROOT / "workflow" / "rules").glob("*.smk"))
SCRIPTS = sorted((ROOT / "src" / "scripts").rglob("*.py"))
ON_GPU = {"train_prior", "sample_prior", "sample", "sample_ensemble", "slic_parameters", "train_regression"}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_rule_says_what_a_scheduler_needs(script):
    rule = rules()[script.stem]
    assert rule["log"] and rule["benchmark"] and rule["message"]
    assert Path(rule["conda"]).parts[-2] == "envs" and (ROOT / "envs" / Path(rule["conda"]).name).is_file()
    assert {"mem_mb", "runtime"} <= set(rule["resources"])
    assert ("gpu" in rule["resources"]) == (script.stem in ON_GPU)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_rules_and_scripts_have_the_same_names(script):
    """src/scripts/<folder>/<rule>.py belongs to the rule of that name in workflow/rules/<folder>.smk."""
    rule = rules()[script.stem]
    assert rule["script"] == f"../../{script.relative_to(ROOT)}"
    text = (ROOT / "workflow" / "rules" / f"{script.parent.name}.smk").read_text()
    if script.parent.name != "figures":  # whose rules are made in a loop
        assert re.search(rf"^rule {script.stem}:$", text, re.M)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_files_of_rules_hold_rules_only(path):
    text = path.read_text()
    rules_here = len(re.findall(r"^ *rule\b", text, re.M))
    assert not re.search(r"^ *(def|class) ", text, re.M), "functions belong into workflow/plan"
    assert (rules_here > 0) == (path.stem != "common")
    for directive in ("threads:", "mem_mb=plan.needs.memory(", "runtime=", "script:"):
        assert text.count(directive) == rules_here, directive
    assert not re.search(r"retries|partition|account", text), "these belong into profiles"


def test_the_snakefile_is_a_table_of_contents():
    lines = (ROOT / "Snakefile").read_text().splitlines()
    assert len(lines) <= 60
    assert not any(line.startswith(("def ", "import ")) for line in lines)


@pytest.mark.parametrize("name", ["slurm", "cluster-generic"])
def test_resources_under_a_cluster_profile(workflow, name):
    """Under SLURM a rule asks for a GPU only if it says `gpu`; a submit command needs a number for each rule."""
    probe(workflow, PROBE)
    found = rules_in(workflow, "--workflow-profile", f"profiles/{name}", *OVERLAYS["paper"])
    with_script = {rule for rule in found if found[rule]["script"]}
    assert with_script == set(rules())
    with_gpu = {rule for rule in with_script if "gpu" in found[rule]["resources"]}
    assert with_gpu == (ON_GPU if name == "slurm" else with_script)


def test_groups_of_the_slurm_profile_are_rules():
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    assert set(profile["groups"]) <= set(rules())


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (8, 4)])
def test_trainings_take_half_of_the_cores(workflow, cores, threads):
    probe(
        workflow,
        'print("threads:", *(r.resources["_cores"].value for r in workflow.rules if r.name == "train_prior"))\n',
    )
    said = run_snakemake("-n", "download", "--cores", str(cores), *OVERLAYS["test"], cwd=workflow).stdout
    assert re.search(r"^threads: (\d+)$", said, re.M)[1] == str(threads), said


@pytest.mark.parametrize(
    "path", sorted((ROOT / "profiles").glob("*/profile*.yaml")), ids=lambda path: path.parent.name
)
def test_every_profile_runs_jobs_again_by_code_version_and_not_by_the_date_of_a_script(path):
    """Snakemake's own trigger `code` looks at the date of a script's file, which git changes."""
    triggers = yaml.safe_load(path.read_text())["rerun-triggers"]
    assert set(triggers) == {"mtime", "params", "input", "software-env"}
