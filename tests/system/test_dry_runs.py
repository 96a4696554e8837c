"""Dry runs: the jobs that each shipped configuration and each target plans."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from tests.helpers.plan import MIRRORED, configuration, table_rows
from tests.helpers.workflow import OVERLAYS, ROOT, jobs

# posteriors of each configuration
SAMPLED = {"default": 17, "test": 13, "real": 34, "paper": 17, "exact": 0, "samplers": 34}


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


@pytest.mark.parametrize("target", ["all", "download", "figures", *NEEDS, "real"])
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
        jobs(snakemake("-n", name, *OVERLAYS["real"], cwd=workflow).stdout) for name in ("all", "real")
    ]
    for plan in planned:
        plan.pop("all", None), plan.pop("real", None)
    assert planned[0] == planned[1] and planned[0]["total"] > 0


def test_a_training_set_may_be_cut_from_downloads(snakemake, workflow):
    """Blank sky is cut from the frames of two data sets, which are fetched first."""
    done = snakemake("-n", "results/real/data/sky32/held_out.h5", *OVERLAYS["real"], cwd=workflow)
    planned = jobs(done.stdout)
    frames = [row for row in table_rows() if row["dataset"] in ("cosj100018", "cosj100028")]
    assert planned["download_file"] == len(frames) > 0
    assert planned["prepare"] == 1


def test_real_without_a_real_problem_says_what_to_do(snakemake, workflow):
    done = snakemake("-n", "real_lens", cwd=workflow)
    assert done.returncode != 0
    assert "no real problem is configured; add --configfile config/real.yaml" in done.stdout


def test_a_mirror_named_later_runs_nothing_again(snakemake, workflow):
    """Where the bytes come from is no parameter: files that are there stay."""
    mirrored = [snakemake("-n", *OVERLAYS["real"], *more, cwd=workflow).stdout for more in ([], MIRRORED)]
    assert jobs(mirrored[0]) == jobs(mirrored[1]) != {}


@pytest.mark.parametrize(("train", "prepared"), [("true", True), ("full", True), ("false", False)])
def test_training_needs_images_and_shipped_weights_do_not(snakemake, workflow, train, prepared):
    done = snakemake(
        "-n", "--config", f"train={train}", "--", "results/demo/priors/galaxies32.safetensors", cwd=workflow
    )
    assert done.returncode == 0, done.stdout
    assert ("prepare" in jobs(done.stdout)) == prepared


# ---------------------------------------------------------------------------- clusters and full scale


@pytest.mark.parametrize("name", ["slurm", "cluster-generic"])
def test_cluster_profiles(snakemake, workflow, name):
    done = snakemake("-n", "--workflow-profile", f"profiles/{name}", *OVERLAYS["paper"], cwd=workflow)
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["sample"] == SAMPLED["paper"]


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
        "--seconds-between-status-checks", "1",
        "--max-jobs-per-timespan", "20/1s",  # Snakemake ends when the time span of the last job has passed
        cwd=workflow,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert (workflow / "results/test/data/galaxies16/train.h5").exists()
    assert re.fullmatch(r"rule=prepare threads=\d+ mem=\d+ gpu=0\n", (tmp_path / "told").read_text())


def test_a_cluster_is_asked_for_a_gpu_though_the_submit_node_has_none(snakemake, workflow, tmp_path):
    """Snakemake knows only after it has read the rules that jobs run elsewhere. The scheduler refuses the job."""
    submit = tmp_path / "submit"
    submit.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/told\nexit 1\n')
    submit.chmod(0o755)
    train = workflow / "results/test/data/galaxies16/train.h5"
    train.parent.mkdir(parents=True)
    train.touch()
    done = snakemake(
        "results/test/priors/galaxies16.safetensors", "--workflow-profile", "profiles/cluster-generic",
        *OVERLAYS["test"], "--cluster-generic-submit-cmd", f"{submit} '{{rule}} gpu={{resources.gpu}}'",
        "--retries", "0", "--allowed-rules", "train_prior", "--max-jobs-per-timespan", "20/1s", cwd=workflow,
    )  # fmt: skip
    assert done.returncode != 0
    assert (tmp_path / "told").read_text() == "train_prior gpu=1\n", done.stdout


def test_the_smoke_test_of_full_scale_has_its_sizes(snakemake, workflow):
    """config/smoke_paper.yaml over paper.yaml: the same kinds of jobs, the same pixels and networks, a few steps."""
    full, smoke = configuration("paper"), configuration("paper", "smoke_paper")
    for config in (full, smoke):
        assert config["datasets"].keys() == full["datasets"].keys()
        assert config["priors"].keys() == full["priors"].keys()
    for name, dataset in full["datasets"].items():
        assert smoke["datasets"][name]["pixels"] == dataset["pixels"]
    for name, prior in full["priors"].items():
        assert smoke["priors"][name]["network"] == prior["network"]
    assert max(sampler["steps"] for sampler in smoke["samplers"].values()) <= 24
    both = [*OVERLAYS["paper"], "config/smoke_paper.yaml"]
    planned = [jobs(snakemake("-n", *files, cwd=workflow).stdout) for files in (OVERLAYS["paper"], both)]
    assert set(planned[0]) == set(planned[1]) != set()


@pytest.mark.parametrize(("name", "maps"), [("real", 2), ("paper", 1)])
def test_cosmos_is_planned_at_the_pixels_of_the_paper(snakemake, workflow, name, maps):
    """360 x 360 in both configurations: a few samples without any training, and the full count with a learned prior."""
    done = snakemake("-n", "real_kappa", *OVERLAYS[name], *MIRRORED, cwd=workflow)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["plot_clusters"] == planned["sample"] == planned["observe"] == maps
    assert f"results/{name}/figures/clusters_cosmos360_gibbs.pdf" in done.stdout


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
