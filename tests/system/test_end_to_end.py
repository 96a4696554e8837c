"""The `test` configuration from end to end: results, report, and what a change makes run again."""

from __future__ import annotations

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest

from tests.helpers.browser import CHROMIUM, REPORT, browse
from tests.helpers.workflow import OVERLAYS, copy_workflow, jobs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def finished(snakemake, tmp_path_factory) -> Path:
    """A copy of the workflow in which the `test` configuration has run."""
    folder = copy_workflow(tmp_path_factory.mktemp("run"))
    done = snakemake("--cores", "2", *OVERLAYS["test"], cwd=folder)
    assert done.returncode == 0, done.stdout[-8000:]
    assert "lens / mmps" in done.stdout.partition("Done. ")[2]
    assert "Report: snakemake --report results/test/report.html --configfile config/test.yaml" in done.stdout
    return folder


def test_a_second_run_has_nothing_to_do(snakemake, finished):
    done = snakemake("-n", *OVERLAYS["test"], cwd=finished)
    assert "Nothing to be done" in done.stdout, done.stdout


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


def test_numbers_in_tex(finished):
    results = finished / "results" / "test"
    numbers, tex = json.loads((results / "numbers.json").read_text()), (results / "numbers.tex").read_text()
    for key in numbers:
        assert rf"\csname skyscore@{key}\endcsname{{" in tex


@pytest.fixture(scope="module")
def report(snakemake, finished) -> Path:
    done = snakemake("--report", "report.html", *OVERLAYS["test"], cwd=finished)
    assert done.returncode == 0, done.stdout
    return finished / "report.html"


def test_report(report, finished):
    text = report.read_text()
    numbers = json.loads((finished / "results" / "test" / "numbers.json").read_text())
    assert f"chi2 per datum {numbers['lens/mmps/chi2_dof']:.3f}" in text  # the caption quotes this run
    for word in ("Posteriors", "Priors", "Exact benchmark", "Numbers"):
        assert word in text


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_report_in_a_browser(report, finished, tmp_path):
    """Every figure is drawn and described, every number there; nothing is unrendered, nothing asks for a network."""
    found, errors = browse(report, REPORT, tmp_path)
    assert not errors
    assert "failed" not in found, found["failed"]
    results = finished / "results" / "test"
    shown, numbers = found["results"], json.loads((results / "numbers.json").read_text())
    figures = {f"results/test/figures/{path.name}" for path in (results / "figures").glob("*.png")}
    assert shown.keys() == figures | {"results/test/numbers.json"}
    assert json.loads(shown["results/test/numbers.json"].pop("text")) == numbers
    for path, page in shown.items():
        assert min(page.get("size", [1000])) > 200, path
        assert len(page["caption"]) > 80, path
        assert not WRONG.findall(page["caption"]), path
        assert all(page["labels"].values()), path
    assert not WRONG.findall(found["home"])
    assert found["overflow"] <= 0  # no table of the first page runs into what is beside it
    assert found["top"] >= 0  # and its head is not cut off
    for key, value in numbers.items():
        match key.split("/"):
            case [problem, sampler, "chi2_dof"]:
                assert f"{problem} / {sampler}" in found["home"]
                caption = shown[f"results/test/figures/{problem}_{sampler}.png"]["caption"]
                assert f"chi2 per datum {value:.3f}" in caption
            case [prior, "pqmass_chi2_dof"]:
                assert f"{value:.3f}" in shown[f"results/test/figures/prior_{prior}.png"]["caption"]


# what a text that was not filled, or was filled with no number, looks like
WRONG = re.compile(
    r"\{\{|\}\}|\{%|\bnan\b|\binf\b|\bNone\b|\bundefined\b|System Message|``|\.\. [a-z-]+::", re.IGNORECASE
)


def test_figures_are_redrawn_without_sampling(snakemake, finished):
    for path in (finished / "results" / "test" / "figures").glob("*.pdf"):
        path.unlink()
    done = snakemake("figures", "--cores", "2", *OVERLAYS["test"], cwd=finished)
    assert done.returncode == 0, done.stdout
    drawn = set(jobs(done.stdout)) - {"figures", "total"}
    rules = "\n".join(path.read_text() for path in (finished / "workflow" / "rules").glob("*.smk"))
    # a family photo needs two real lenses, cut-outs at clusters a real map, a profile a real disk
    assert drawn == set(re.findall(r"^rule (plot_\w+):", rules, re.MULTILINE)) - {
        "plot_family",
        "plot_clusters",
        "plot_profile",
    }


def test_a_change_of_the_library_runs_what_depends_on_it(snakemake, finished):
    path = finished / "src" / "skyscore" / "samplers" / "mmps.py"
    text = path.read_text()
    path.write_text(text + "\n# changed\n")
    planned = jobs(snakemake("-n", *OVERLAYS["test"], cwd=finished).stdout)
    path.write_text(text)
    assert (planned["sample"], planned["sample_ensemble"]) == (13, 5)
    assert "train_prior" not in planned
    assert "observe" not in planned


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
