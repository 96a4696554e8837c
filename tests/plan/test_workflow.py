"""The workflow as a user meets it, before a job runs: dry runs, targets, clusters, lint, extension."""

from __future__ import annotations

import csv
import re
import subprocess
import sys

import pytest
import yaml

from skyscore.problems.kappa.problem import LARGEST
from tests.helpers.workflow import OVERLAYS, ROOT, clear_line, jobs

# posteriors of each configuration
SAMPLED = {"default": 17, "test": 13, "real": 34, "paper": 17, "exact": 0, "samplers": 34}
MIRRORED = ["--config", "mirror=mirror"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_dry_run(snakemake, workflow, name):
    done = snakemake("-n", *OVERLAYS[name], *(MIRRORED if name == "real" else []), cwd=workflow)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["collect_numbers"] == 1
    assert planned.get("sample", 0) == SAMPLED[name]
    assert ("download_file" in planned) == (name == "real")
    assert ("exact" in planned) == (name != "real")


NEEDS = {
    "real_lens": ["sdssj1430", "sdssj1250", "sdssj1627"],
    "real_kappa": ["cosmos"],
    "real_hst": ["cosj100018", "cosj100024", "cosj100028"],
    "real_radio": ["as209", "m87"],
}


def table_rows() -> list[dict]:
    with open(ROOT / "config" / "datasets.tsv", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.mark.parametrize(
    "target", ["all", "download", "figures", "real_lens", "real_kappa", "real_hst", "real_radio", "real"]
)
def test_targets(snakemake, workflow, target):
    done = snakemake("-n", target, *OVERLAYS["real"], *MIRRORED, cwd=workflow)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    rows = [row for row in table_rows() if row["fetch"] != "manual"]
    problems = yaml.safe_load((ROOT / "config" / "real.yaml").read_text())["problems"].values()
    needed = NEEDS.get(target, [problem["data"] for problem in problems])
    wanted = [row for row in rows if target == "download" or row["dataset"] in needed]
    assert planned["download_file"] == len(wanted) > 0
    assert ("sample" in planned) == (target != "download")


def test_real_is_all_of_the_real_configuration(snakemake, workflow):
    planned = [
        jobs(snakemake("-n", target, *OVERLAYS["real"], cwd=workflow).stdout) for target in ("all", "real")
    ]
    for plan in planned:
        plan.pop("all", None), plan.pop("real", None)
    assert planned[0] == planned[1]


def test_a_training_set_may_be_cut_from_downloads(snakemake, workflow):
    """Blank sky is cut from the frames of two data sets, which are fetched first."""
    done = snakemake("-n", "results/real/data/sky32/held_out.h5", *OVERLAYS["real"], cwd=workflow)
    planned = jobs(done.stdout)
    rows = [line.split("\t")[0] for line in (ROOT / "config" / "datasets.tsv").read_text().splitlines()]
    assert planned["download_file"] == sum(name in ("cosj100018", "cosj100028") for name in rows) > 0
    assert planned["prepare"] == 1


def test_real_without_a_real_problem_says_what_to_do(snakemake, workflow):
    done = snakemake("-n", "real_lens", cwd=workflow)
    assert done.returncode != 0
    assert "no real problem is configured; add --configfile config/real.yaml" in done.stdout


def rules_of_workflow() -> set[str]:
    texts = [path.read_text() for path in ROOT.glob("workflow/rules/*.smk")]
    return {rule for text in texts for rule in re.findall(r"^rule (\w+):", text, re.M)}


ON_GPU = {"train_prior", "sample_prior", "sample", "sample_ensemble", "slic_parameters", "train_regression"}


@pytest.mark.parametrize("name", ["slurm", "cluster-generic"])
def test_cluster_profiles(snakemake, workflow, name):
    """All jobs are planned, and a rule asks for what stands there: under SLURM for a GPU only if it says `gpu`."""
    probe(workflow, 'for rule in workflow.rules:\n    print("asks:", rule.name, *rule.resources)')
    done = snakemake("-n", "--workflow-profile", f"profiles/{name}", *OVERLAYS["paper"], cwd=workflow)
    assert done.returncode == 0, done.stdout
    assert "sample" in jobs(done.stdout)
    asked = {rule: names.split() for rule, names in re.findall(r"^asks: (\w+) (.+)$", done.stdout, re.M)}
    asked = {rule: asked[rule] for rule in rules_of_workflow()}
    with_gpu = {rule for rule, names in asked.items() if "gpu" in names}
    assert with_gpu == (ON_GPU if name == "slurm" else set(asked))  # {resources.gpu} must stand for a number


def test_a_glance_at_full_scale_has_its_sizes(snakemake, workflow):
    """config/glance.yaml over paper.yaml: the same kinds of jobs, the same pixels and networks, a few steps."""
    told = (
        'print("sized:", *(f"{k}={v[\'pixels\']}" for k, v in sorted(config["datasets"].items())))',
        'print("networks:", *(f"{k}={p[\'network\'][\'channels\']}" for k, p in sorted(config["priors"].items())))',
        'print("at most:", max(s["steps"] for s in config["samplers"].values()))',
    )
    probe(workflow, "\n".join(told))
    both = [*OVERLAYS["paper"], "config/glance.yaml"]
    full, glance = (snakemake("-n", *files, cwd=workflow) for files in (OVERLAYS["paper"], both))
    assert glance.returncode == 0, glance.stdout
    for line in ("sized", "networks"):
        found = [re.search(f"^{line}: (.*)$", done.stdout, re.M)[1] for done in (full, glance)]
        assert found[0] == found[1]
    assert set(jobs(full.stdout)) == set(jobs(glance.stdout))
    assert int(re.search(r"^at most: (\d+)", glance.stdout, re.M)[1]) <= 24


def test_groups_of_the_slurm_profile_are_rules(root):
    profile = yaml.safe_load((root / "profiles" / "slurm" / "profile.yaml").read_text())
    assert set(profile["groups"]) <= rules_of_workflow()


def test_memory_grows_with_each_attempt(snakemake, workflow):
    """What a rule asks for when a profile's `retries` submits it again."""
    probe(workflow, 'print("memory is", [growing(4000)(None, attempt) for attempt in (1, 2, 3)])')
    assert "memory is [4000, 8000, 12000]\n" in snakemake("-n", "download", cwd=workflow).stdout


def test_memory_grows_with_pixels_and_images(snakemake, workflow):
    """At 128 pixels a decomposed operator is 16,384 x 16,384; maps that go through Fourier transforms are not."""
    assert 64**2 == LARGEST  # WHOLE in common.smk
    of = 'Given(%s="%s")'
    lens, kappa, sky = (of % ("problem", name) for name in ("lens", "kappa", "cosmos360"))
    told = (
        "class Given(dict):",
        "    __getattr__ = dict.__getitem__",
        f'print("matrices:", matrices({lens}), matrices({kappa}), matrices({sky}))',
        f'print("images:", images({of % ("prior", "galaxies128")}), images({of % ("dataset", "galaxies128")}))',
    )
    probe(workflow, "\n".join(told))
    done = snakemake("-n", *OVERLAYS["paper"], cwd=workflow)
    each = 8 * 128**4 / 1e6
    found = [int(word) for word in re.search("^matrices: (.*)$", done.stdout, re.M)[1].split()]
    assert found == [int(10 * each), int(10 * each), 0]
    found = {int(word) for word in re.search("^images: (.*)$", done.stdout, re.M)[1].split()}
    assert found == {int(3 * 4 * 200_000 * 128**2 / 1e6)}


def test_jobs_go_through_the_submit_command_of_a_cluster(snakemake, workflow, tmp_path):
    """The generic profile with a scheduler that starts each job at once: what it is told, and that the job is done."""
    submit = tmp_path / "submit"
    told = "rule={rule} threads={threads} mem={resources.mem_mb} gpu={resources.gpu}"
    submit.write_text(
        f'#!/bin/sh\necho "$1" >> {tmp_path}/told\nsetsid sh "$2" > /dev/null 2>&1 &\necho $!\n'
    )
    submit.chmod(0o755)
    done = snakemake(
        "results/test/data/galaxies16/train.h5", "--workflow-profile", "profiles/cluster-generic", *OVERLAYS["test"],
        "--cluster-generic-submit-cmd", f"{submit} '{told}'", "--latency-wait", "5",
        "--seconds-between-status-checks", "1", cwd=workflow,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (workflow / "results/test/data/galaxies16/train.h5").exists()
    assert re.fullmatch(r"rule=prepare threads=\d+ mem=\d+ gpu=0\n", (tmp_path / "told").read_text())


def test_a_mirror_named_later_runs_nothing_again(snakemake, workflow):
    """Where the bytes come from is no parameter: files that are there stay."""
    mirrored = [snakemake("-n", *OVERLAYS["real"], *more, cwd=workflow).stdout for more in ([], MIRRORED)]
    assert jobs(mirrored[0]) == jobs(mirrored[1])


def probe(workflow, text: str) -> None:
    """Adds a line of Python at the end of the copy's Snakefile, where all functions of the workflow are known."""
    (workflow / "workflow" / "rules" / "probe.smk").write_text(text + "\n")
    with open(workflow / "Snakefile", "a") as file:
        file.write('\n\ninclude: "workflow/rules/probe.smk"\n')


def test_seeds_are_those_of_the_library(snakemake, workflow):
    """The Snakefile derives them without torch; the library's function must give the same."""
    from skyscore.seeds import job_seed

    probe(workflow, 'print("seed is", seed_of("sample")(["lens", "mmps"]))')
    done = snakemake("-n", "download", cwd=workflow)
    assert f"seed is {job_seed(1, 'sample', 'lens', 'mmps')}\n" in done.stdout


@pytest.mark.parametrize("train, steps", [("true", 4000), ("full", 13000), ("false", 13000)])
def test_short_and_full_training(snakemake, workflow, train, steps):
    names = "type('Wildcards', (), {'prior': 'galaxies32'})"
    probe(workflow, f'print("steps are", prior_settings({names})["training"]["steps"])')
    done = snakemake(
        "-n", "--config", f"train={train}", "--", "results/demo/priors/galaxies32.safetensors", cwd=workflow
    )
    assert f"steps are {steps}\n" in done.stdout
    assert ("prepare" in jobs(done.stdout)) == (train != "false")


# ---------------------------------------------------------------------------- form


def test_lint(snakemake):
    done = snakemake("--lint")
    assert done.returncode == 0, done.stdout


def test_snakefmt():
    done = subprocess.run(
        [sys.executable, "-m", "snakefmt.snakefmt", "--check", "Snakefile", "workflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_the_snakefile_is_a_table_of_contents():
    lines = (ROOT / "Snakefile").read_text().splitlines()
    assert len(lines) <= 60
    assert not any(line.startswith(("def ", "import ")) for line in lines)


def blocks():
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")):
        for block in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            yield pytest.param(block, id=block.split(":")[0])


@pytest.mark.parametrize("block", blocks())
def test_every_rule_says_what_a_scheduler_needs(block):
    rule = block.split(":")[0]
    for directive in ("log", "benchmark", "conda", "threads", "resources", "message", "script"):
        assert re.search(rf"^    {directive}:", block, re.MULTILINE), f"{rule} has no {directive}"
    assert re.search(r"mem_mb=growing\(\d+(, \w+)?\)", block), rule
    assert re.search(r"runtime=\d+", block), rule
    assert bool(re.search(r"^ +gpu=", block, re.MULTILINE)) == (rule in ON_GPU)
    assert not re.search(r"retries|partition|account", block), "these belong into profiles"
    # what fetches is decided by checksums, what draws or gathers by its inputs: all others hash the library behind them
    by_input = rule.startswith("plot_") or rule in {"download_file", "collect_numbers"}
    assert ("code=code_version(" in block) == (not by_input), (
        f"{rule} would not notice a change of the library"
    )


def test_functions_are_apart_from_rules():
    for path in ROOT.glob("workflow/rules/*.smk"):
        text = path.read_text()
        assert ("def " in text) == (path.stem in {"common", "inputs", "targets"}), path
        assert ("def " in text) != (re.search("^rule ", text, re.MULTILINE) is not None), path


# ---------------------------------------------------------------------------- extension


def test_a_new_sampler_is_one_module_and_one_block(snakemake, workflow):
    (workflow / "src" / "skyscore" / "samplers" / "mine.py").write_text(
        'from .base import Sampler\n\n\nclass Mine(Sampler):\n    name = "mine"\n\n'
        "    def __init__(self, *, strength: float = 1.0, **options):\n        super().__init__(**options)\n"
    )
    (workflow / "mine.yaml").write_text(
        "samplers: {mine: {name: mine, strength: 2.0}}\nproblems: {lens: {samplers: [mine]}}\n"
    )
    done = snakemake("-n", "results/demo/lens/mine/posterior.h5", "--configfile", "mine.yaml", cwd=workflow)
    assert done.returncode == 0, done.stdout


def test_a_new_problem_is_one_module_and_one_block(snakemake, workflow):
    (workflow / "src" / "skyscore" / "problems" / "mine.py").write_text(
        'from .base import Problem\n\n\nclass Mine(Problem):\n    kind = "mine"\n'
        '    SETTINGS = {"type": "object", "properties": {"depth": {"type": "number", "default": 1.0}}}\n'
    )
    (workflow / "mine.yaml").write_text(
        "problems: {deep: {kind: mine, prior: galaxies32, samplers: [mmps], depth: 2.0}}\n"
    )
    done = snakemake("-n", "results/demo/deep/mmps/posterior.h5", "--configfile", "mine.yaml", cwd=workflow)
    assert done.returncode == 0, done.stdout
    (workflow / "mine.yaml").write_text(
        "problems: {deep: {kind: mine, prior: galaxies32, samplers: [mmps], dept: 2.0}}\n"
    )
    done = snakemake("-n", "results/demo/deep/mmps/posterior.h5", "--configfile", "mine.yaml", cwd=workflow)
    assert "did you mean 'depth'?" in clear_line(done)
