"""The workflow as a user meets it: dry runs, targets, lint, mistakes, extension, and one small run from end to end."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
OVERLAYS = {
    "default": [],
    **{name: ["--configfile", f"config/{name}.yaml"] for name in ("test", "real", "paper")},
}
MIRRORED = ["--config", "mirror=mirror"]


def jobs(output: str) -> dict[str, int]:
    """The table of jobs of a dry run."""
    table = output.partition("Job stats:")[2]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.mark.parametrize("name", OVERLAYS)
def test_dry_run(snakemake, workflow, name):
    done = snakemake("-n", *OVERLAYS[name], *(MIRRORED if name == "real" else []), cwd=workflow)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["collect_numbers"] == 1
    assert planned["sample"] >= 3
    assert ("download_file" in planned) == (name == "real")
    assert ("exact" in planned) == (name != "real")


@pytest.mark.parametrize("target", ["all", "download", "figures", "real_lens", "real"])
def test_targets(snakemake, workflow, target):
    done = snakemake("-n", target, *OVERLAYS["real"], *MIRRORED, cwd=workflow)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    rows = (ROOT / "config" / "datasets.tsv").read_text().splitlines()[1:]
    wanted = [row for row in rows if target != "real_lens" or row.startswith("sdssj1430")]
    assert planned["download_file"] == len(wanted) > 0
    assert ("sample" in planned) == (target != "download")


def test_real_is_all_of_the_real_configuration(snakemake, workflow):
    planned = [
        jobs(snakemake("-n", target, *OVERLAYS["real"], cwd=workflow).stdout) for target in ("all", "real")
    ]
    for plan in planned:
        plan.pop("all", None), plan.pop("real", None)
    assert planned[0] == planned[1]


def test_real_without_a_real_problem_says_what_to_do(snakemake, workflow):
    done = snakemake("-n", "real_lens", cwd=workflow)
    assert done.returncode != 0
    assert "no real problem is configured; add --configfile config/real.yaml" in done.stdout


def test_slurm_profile(snakemake, workflow):
    done = snakemake("-n", "--workflow-profile", "profiles/slurm", *OVERLAYS["paper"], cwd=workflow)
    assert done.returncode == 0, done.stdout
    profile = yaml.safe_load((ROOT / "profiles" / "slurm" / "profile.yaml").read_text())
    rules = {
        match
        for path in ROOT.glob("workflow/rules/*.smk")
        for match in re.findall(r"^rule (\w+):", path.read_text(), re.M)
    }
    assert set(profile["set-resources"]) <= rules


def test_a_mirror_named_later_runs_nothing_again(snakemake, workflow):
    """Where the bytes come from is no parameter: files that are there stay."""
    mirrored = [snakemake("-n", *OVERLAYS["real"], *more, cwd=workflow).stdout for more in ([], MIRRORED)]
    assert jobs(mirrored[0]) == jobs(mirrored[1])


def test_seeds_are_those_of_the_library(snakemake, workflow):
    """The Snakefile derives them without torch; the library's function must give the same."""
    from skyscore.seeds import job_seed

    (workflow / "workflow" / "rules" / "probe.smk").write_text(
        'print("seed is", seed_of("sample")(["lens", "mmps"]))\n'
    )
    with open(workflow / "Snakefile", "a") as file:
        file.write('\n\ninclude: "workflow/rules/probe.smk"\n')
    done = snakemake("-n", "download", cwd=workflow)
    assert f"seed is {job_seed(1, 'sample', 'lens', 'mmps')}\n" in done.stdout


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
    assert len(lines) <= 70
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
    assert re.search(r"mem_mb=\d+", block), rule
    assert re.search(r"runtime=\d+", block), rule
    trained = {"train_prior", "sample_prior", "sample", "sample_ensemble", "slic_parameters"}
    assert ("gpu=1" in block) == (rule in trained)
    assert not re.search(r"retries|partition|account", block), "these belong into profiles"
    if rule in {
        "train_prior",
        "sample_prior",
        "sample",
        "pqmass_prior",
        "residuals",
        "exact",
        "simulate",
        "sample_ensemble",
        "coverage_ensemble",
        "mira_ensemble",
        "moments_ensemble",
        "pqmass_ensemble",
        "certify",
        "control",
        "observe",
        "prepare",
    }:
        assert "code=code_version(" in block, f"{rule} would not notice a change of the library"


def test_functions_are_in_common_only():
    for path in ROOT.glob("workflow/rules/*.smk"):
        assert path.stem == "common" or "def " not in path.read_text(), path


# ---------------------------------------------------------------------------- mistakes


def clear_line(done) -> str:
    """The one line that a user must see."""
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if "skyscore: error:" in line]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout
    return lines[0]


def test_unknown_key_in_an_overlay(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems:\n  lens:\n    n_sampels: 4\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert line == (
        "skyscore: error: mine.yaml: problems.lens.n_sampels: unknown key 'n_sampels'; did you mean 'n_samples'?"
    )


def test_unknown_key_on_the_command_line(snakemake, workflow):
    line = clear_line(snakemake("-n", "--config", "miror=here", cwd=workflow))
    assert "--config: miror: unknown key 'miror'; did you mean 'mirror'?" in line


def test_unknown_sampler(snakemake, workflow):
    (workflow / "mine.yaml").write_text("samplers:\n  mmps:\n    name: mmsp\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert "mine.yaml: samplers.mmps.name: there is no sampler 'mmsp'; did you mean 'mmps'?" in line


def test_data_set_without_rows(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems: {sdssj1430: {data: sdssj1340}}\n")
    done = snakemake("-n", "--configfile", "config/real.yaml", "mine.yaml", cwd=workflow)
    assert "config/datasets.tsv: no row for the dataset 'sdssj1340'" in clear_line(done)


def test_wrong_file_in_the_mirror(snakemake, workflow):
    """A job that fails on its input: one line on the terminal, no file in place, exit code not 0."""
    table = (workflow / "config" / "datasets.tsv").read_text().splitlines()
    for line in table[1:]:
        path = workflow / "mirror" / line.split("\t")[2].split("://")[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not this")
    done = snakemake("download", "--cores", "1", "--keep-going", *OVERLAYS["real"], *MIRRORED, cwd=workflow)
    assert done.returncode != 0
    lines = [
        line for line in done.stdout.splitlines() if "psf.fits: 8 bytes where 34560 are expected" in line
    ]
    assert lines
    assert "name its folder with --config mirror=DIR" in lines[0]
    assert not [path for path in (workflow / "data").rglob("*") if path.is_file()]


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


# ---------------------------------------------------------------------------- from end to end


@pytest.fixture(scope="module")
def finished(snakemake, tmp_path_factory) -> Path:
    """A copy of the workflow in which the `test` configuration has run."""
    from conftest import copy_workflow

    folder = copy_workflow(tmp_path_factory.mktemp("run"))
    done = snakemake("--cores", "2", *OVERLAYS["test"], cwd=folder)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "Report: snakemake --report" in done.stdout
    return folder


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(snakemake, finished):
    done = snakemake("-n", *OVERLAYS["test"], cwd=finished)
    assert "Nothing to be done" in done.stdout, done.stdout


@pytest.mark.slow
def test_results_are_complete_and_say_where_they_come_from(finished):
    import h5py
    from astropy.io import fits

    results = finished / "results" / "test"
    numbers = json.loads((results / "numbers.json").read_text())
    assert all(isinstance(value, int | float) for value in numbers.values())
    for sampler in ("mmps", "tds", "cla"):
        assert f"lens/{sampler}/chi2_dof" in numbers
        assert (results / "figures" / f"lens_{sampler}.pdf").stat().st_size > 5000
    assert any(key.startswith("galaxies16/pqmass") for key in numbers)
    assert any(key.startswith("exact/mmps/") for key in numbers)
    for key in ("lens/mmps/tarp_p", "lens/mmps/mira_z", "lens/mmps/z2", "lens/mmps/chi2_mean", "lens/cla/z2"):
        assert key in numbers
    assert numbers["lens/certified"] == numbers["lens/mmps/certified"] == 0  # 4 simulations certify nothing
    assert "lens/tds/certified" not in numbers  # neither the default sampler nor asked for
    with h5py.File(results / "lens" / "mmps" / "posterior.h5") as file:
        source = json.loads(file.attrs["provenance"])
        assert file["samples"].shape == (8, 1, 16, 16)
    wanted = {
        "git_revision",
        "git_dirty",
        "config_hash",
        "settings_hash",
        "seed",
        "versions",
        "wall_time_s",
        "processor",
    }
    assert wanted <= source.keys()
    assert source["config_hash"] != "none"
    assert source["wall_time_s"] > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(results / "lens" / "mmps" / "posterior.fits") as file:
            file.verify("exception")
            assert file["SAMPLES"].data.shape == (8, 16, 16)
            assert file[0].header["CFGHASH"] == source["config_hash"]
    assert (
        json.loads((results / "provenance.json").read_text())["run"]["config_hash"] == source["config_hash"]
    )
    assert not list(results.rglob("*.part*"))


@pytest.mark.slow
def test_numbers_in_tex(finished):
    results = finished / "results" / "test"
    numbers, tex = json.loads((results / "numbers.json").read_text()), (results / "numbers.tex").read_text()
    for key in numbers:
        assert rf"\csname skyscore@{key}\endcsname{{" in tex


@pytest.mark.slow
def test_report(snakemake, finished):
    done = snakemake("--report", "report.html", *OVERLAYS["test"], cwd=finished)
    assert done.returncode == 0, done.stdout
    text = (finished / "report.html").read_text()
    numbers = json.loads((finished / "results" / "test" / "numbers.json").read_text())
    assert f"chi2 per datum {numbers['lens/mmps/chi2_dof']:.3f}" in text  # the caption quotes this run
    for word in ("Posteriors", "Priors", "Exact benchmark", "Numbers"):
        assert word in text


@pytest.mark.slow
def test_figures_are_redrawn_without_sampling(snakemake, finished):
    for path in (finished / "results" / "test" / "figures").glob("*.pdf"):
        path.unlink()
    done = snakemake("figures", "--cores", "2", *OVERLAYS["test"], cwd=finished)
    assert done.returncode == 0, done.stdout
    drawn = set(jobs(done.stdout)) - {"figures", "total"}
    assert {"plot_posterior", "plot_coverage", "plot_moments", "plot_certificates", "plot_control"} <= drawn
    assert all(rule.startswith("plot_") for rule in drawn)


@pytest.mark.slow
def test_a_change_of_the_library_runs_what_depends_on_it(snakemake, finished):
    path = finished / "src" / "skyscore" / "samplers" / "mmps.py"
    text = path.read_text()
    path.write_text(text + "\n# changed\n")
    planned = jobs(snakemake("-n", *OVERLAYS["test"], cwd=finished).stdout)
    path.write_text(text)
    assert planned["sample"] >= 3
    assert planned["sample_ensemble"] >= 2
    assert "train_prior" not in planned
    assert "observe" not in planned


@pytest.mark.slow
def test_weights_of_another_architecture(snakemake, finished):
    """Weights put in place of others are refused in one line."""
    shutil.copytree(finished, other := finished.with_name("other"), symlinks=True)
    (other / "weights").mkdir(exist_ok=True)
    shutil.copy(other / "results" / "test" / "priors" / "galaxies16.safetensors", other / "weights")
    (other / "mine.yaml").write_text("priors: {galaxies16: {network: {channels: [32, 64]}}}\n")
    target = "results/test/priors/galaxies16.safetensors"
    done = snakemake(target, "--cores", "1", "--configfile", "config/test.yaml", "mine.yaml", cwd=other)
    assert done.returncode != 0
    assert "weights/galaxies16.safetensors" in done.stdout
    assert "--config train=true" in done.stdout
    assert not (other / target).exists()
