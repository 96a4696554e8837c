"""The workflow as a user meets it, before a job runs: dry runs, targets, lint, mistakes, extension."""

from __future__ import annotations

import csv
import hashlib
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from conftest import OVERLAYS, jobs

ROOT = Path(__file__).resolve().parents[1]
SAMPLED = {"default": 17, "test": 13, "real": 34, "paper": 17, "exact": 0}  # posteriors of each configuration
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
    "real_hst": ["cosj100018", "cosj100028"],
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
    trained = {"train_prior", "sample_prior", "sample", "sample_ensemble", "slic_parameters"}
    assert with_gpu == (trained if name == "slurm" else set(asked))  # {resources.gpu} must stand for a number


def test_groups_of_the_slurm_profile_are_rules(root):
    profile = yaml.safe_load((root / "profiles" / "slurm" / "profile.yaml").read_text())
    assert set(profile["groups"]) <= rules_of_workflow()


def test_memory_grows_with_each_attempt(snakemake, workflow):
    """What a rule asks for when a profile's `retries` submits it again."""
    probe(workflow, 'print("memory is", [growing(4000)(None, attempt) for attempt in (1, 2, 3)])')
    assert "memory is [4000, 8000, 12000]\n" in snakemake("-n", "download", cwd=workflow).stdout


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
    assert re.search(r"mem_mb=growing\(\d+\)", block), rule
    assert re.search(r"runtime=\d+", block), rule
    trained = {"train_prior", "sample_prior", "sample", "sample_ensemble", "slic_parameters"}
    assert bool(re.search(r"^ +gpu=", block, re.MULTILINE)) == (rule in trained)
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


def test_unknown_keys_at_any_depth_on_the_command_line(snakemake, workflow):
    done = snakemake("-n", "--config", "problems={lens: {lens: {thetaE: 1.0}}}", cwd=workflow)
    assert clear_line(done) == (
        "skyscore: error: --config: problems.lens.lens.thetaE: unknown key 'thetaE'; did you mean 'theta_E'?"
    )


def test_unknown_name_of_a_block(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems:\n  lense:\n    n_samples: 4\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert line.startswith("skyscore: error: mine.yaml: problems.lense: the key 'kind' is missing; ")
    assert line.endswith("; did you mean 'lens'?")


def test_unknown_sampler(snakemake, workflow):
    (workflow / "mine.yaml").write_text("samplers:\n  mmps:\n    name: mmsp\n")
    line = clear_line(snakemake("-n", "--configfile", "mine.yaml", cwd=workflow))
    assert "mine.yaml: samplers.mmps.name: there is no sampler 'mmsp'; did you mean 'mmps'?" in line


def test_data_set_without_rows(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems: {sdssj1430: {data: sdssj1340}}\n")
    done = snakemake("-n", "--configfile", "config/real.yaml", "mine.yaml", cwd=workflow)
    assert "config/datasets.tsv: no row for the dataset 'sdssj1340'" in clear_line(done)


def test_training_set_without_rows(snakemake, workflow):
    (workflow / "mine.yaml").write_text("datasets: {sky32: {data: [cosj100081]}}\n")
    done = snakemake("-n", "--configfile", "config/real.yaml", "mine.yaml", cwd=workflow)
    assert "no row for the dataset 'cosj100081' of training set 'sky32'" in clear_line(done)


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


def cut_network(monkeypatch) -> None:
    """Every request goes to a proxy that is not there."""
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)


def test_without_a_network_all_missing_files_are_listed_before_any_job(snakemake, workflow, monkeypatch):
    cut_network(monkeypatch)
    used = {
        p["data"] for p in yaml.safe_load((ROOT / "config" / "real.yaml").read_text())["problems"].values()
    }
    rows = [row for row in table_rows() if row["dataset"] in used]
    for _ in range(2):  # the second run finds no lock of the first
        done = snakemake("--cores", "1", *OVERLAYS["real"], cwd=workflow)
        assert f"{len(rows)} files are missing" in clear_line(done)
        for row in rows:
            assert re.search(rf"{int(row['bytes']):,} bytes +{re.escape(row['url'])}", done.stdout), row[
                "url"
            ]
        assert "--config mirror=DIR" in done.stdout
        assert not (workflow / "results").exists() and not (workflow / "data").exists()


def test_data_to_be_had_by_hand_say_so(snakemake, workflow):
    (workflow / "mine.yaml").write_text("problems: {sdssj1430: {data: galsimcosmos}}\n")
    done = snakemake(
        "real_lens", "--cores", "1", "--configfile", "config/real.yaml", "mine.yaml", *MIRRORED, cwd=workflow
    )
    assert "not in the mirror" in clear_line(done)
    assert "COSMOS_25.2_training_sample.tar.gz  (by hand: " in done.stdout
    file = "zenodo.org/record/3242143/files/COSMOS_25.2_training_sample.tar.gz"
    (workflow / "mirror" / file).parent.mkdir(parents=True)
    (workflow / "mirror" / file).write_bytes(b"fetched by hand")
    done = snakemake(f"data/{file}", "--cores", "1", *MIRRORED, cwd=workflow)
    assert done.returncode == 0, done.stdout
    assert (workflow / "data" / file).read_bytes() == b"fetched by hand"


class Together(BaseHTTPRequestHandler):
    """Answers nobody until as many have asked as the server expects; then everyone gets their own path."""

    def do_GET(self):
        try:
            self.server.barrier.wait(60)
        except threading.BrokenBarrierError:
            self.send_error(404)
            return
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


def test_files_are_fetched_in_parallel(snakemake, workflow, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Together)
    server.barrier = threading.Barrier(3)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    header = (ROOT / "config" / "datasets.tsv").read_text().splitlines()[0]
    lines = [header]
    for name in ("a", "b", "c"):
        body = f"/{name}".encode()
        url, digest = f"http://127.0.0.1:{server.server_port}/{name}", hashlib.sha256(body).hexdigest()
        lines.append(
            "\t".join(["sdssj1430", name, url, digest, str(len(body)), "none", "none", "none", "auto"])
        )
    (workflow / "config" / "datasets.tsv").write_text("\n".join(lines) + "\n")
    done = snakemake("download", "--cores", "3", cwd=workflow)
    server.shutdown()
    server.server_close()
    assert done.returncode == 0, done.stdout
    there = {path.name for path in (workflow / "data").rglob("*") if path.is_file()}
    assert there == {name for file in "abc" for name in (file, f".{file}.sha256")}


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
