"""The `test` configuration from end to end: results, report, and what a change makes run again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from plan.code import Library
from tests.helpers.browser import CHROMIUM, REPORT, browse
from tests.helpers.files import listing
from tests.helpers.workflow import OVERLAYS, ROOT, copy_workflow, jobs

pytestmark = pytest.mark.slow
TRACER = ROOT / "tests" / "helpers" / "tracer"


@pytest.fixture(scope="module")
def notes(tmp_path_factory) -> Path:
    """What each job of the run below noted of the code that it ran."""
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def finished(snakemake, notes, tmp_path_factory) -> Path:
    """A copy of the workflow in which the `test` configuration has run."""
    folder = copy_workflow(tmp_path_factory.mktemp("run"))
    variables = {"PYTHONPATH": str(TRACER), "SKYSCORE_TRACE": str(notes)}
    done = snakemake("--cores", "2", *OVERLAYS["test"], cwd=folder, variables=variables)
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
    """The report, made in a folder where a run was killed and a file damaged: both are left as they are."""
    damaged = finished / "results" / "test" / "lens" / "mmps" / "posterior.fits"
    lock, book = (finished / ".snakemake" / name for name in ("locks/0.output.lock", "skyscore.runs"))
    whole, time = damaged.read_bytes(), damaged.stat().st_mtime_ns
    damaged.write_bytes(whole[:-1])
    lock.write_text("results/test/lens/mmps/posterior.fits\n")
    book.write_text(f"{socket.gethostname()} {2**22 + 1}\n")  # no process has this number
    before = listing(finished)
    done = snakemake("--report", "report.html", *OVERLAYS["test"], cwd=finished)
    assert done.returncode == 0, done.stdout
    after = listing(finished)
    after.pop("report.html")
    assert after == before
    damaged.write_bytes(whole)
    os.utime(damaged, ns=(time, time))
    lock.unlink()
    book.write_text("")
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
    every = {path.stem for path in (finished / "src" / "scripts" / "figures").glob("*.py")}
    # a family photo needs two real lenses, cut-outs at clusters a real map, a profile a real disk
    assert drawn == every - {"plot_family", "plot_clusters", "plot_profile"}


# ---------------------------------------------------------------------------- changes of the code


@contextlib.contextmanager
def edited(path: Path, change) -> Iterator[None]:
    """A file of the library whose text is changed for a while."""
    text, time = path.read_text(), path.stat().st_mtime_ns
    path.write_text(change(text))
    try:
        yield
    finally:
        path.write_text(text)
        os.utime(path, ns=(time, time))


def planned(snakemake, folder: Path) -> dict[str, int]:
    """The jobs that a run would do, but for the targets."""
    done = snakemake("-n", *OVERLAYS["test"], cwd=folder)
    assert done.returncode == 0, done.stdout
    return {rule: count for rule, count in jobs(done.stdout).items() if rule not in ("all", "total")}


def more(text: str) -> str:
    return text + "\n\nMORE = 1\n"


def reworded(text: str) -> str:
    return text.replace('"""', '"""Changed. ', 1) + "\n\n# changed\n"


def test_jobs_run_no_code_that_their_version_leaves_out(finished, notes):
    """Every function of the library that any job ran lies in a module whose change would run the job again."""
    library = Library(finished / "src")
    scripts = {path.stem: path for path in (finished / "src" / "scripts").rglob("*.py")}
    seen = set()
    for path in notes.glob("*.json"):
        note = json.loads(path.read_text())
        seen.add(note["script"])
        counted = {str(library.path(name)) for name in library.reached(scripts[note["script"]]).modules}
        assert note["files"] and set(note["files"]) <= counted, note["script"]
    # these need real data
    assert seen == set(scripts) - {"download_file", "plot_family", "plot_clusters", "plot_profile"}


def test_dates_and_comments_run_nothing(snakemake, finished):
    """As after a `git checkout`: new dates, and other docstrings, comments and line breaks."""
    with contextlib.ExitStack() as stack:
        for path in (finished / "src").rglob("*.py"):
            stack.enter_context(edited(path, reworded))
        assert planned(snakemake, finished) == {}


def test_a_changed_figure_is_drawn_again_and_nothing_else(snakemake, finished):
    with edited(finished / "src" / "skyscore" / "plotting" / "comparison.py", more):
        assert set(planned(snakemake, finished)) == {"plot_comparison"}


def test_a_changed_sampler_runs_what_samples(snakemake, finished):
    with edited(finished / "src" / "skyscore" / "samplers" / "guidance" / "mmps.py", more):
        found = planned(snakemake, finished)
    assert (found["sample"], found["sample_ensemble"]) == (13, 5)
    assert not {"prepare", "train_prior", "sample_prior", "observe", "simulate", "baselines"} & set(found)


def test_a_changed_step_between_noise_levels_runs_all_that_draws(snakemake, finished):
    def change(text: str) -> str:
        old = "ratio = math.log(sigma_min / sigma_max) / (steps - 1)"
        assert text.count(old) == 1
        return text.replace(old, "ratio = math.log(sigma_min / sigma_max) / steps")

    everything = {path.stem for path in (finished / "src" / "scripts").rglob("*.py")}
    with edited(finished / "src" / "skyscore" / "diffusion" / "schedule.py", change):
        found = set(planned(snakemake, finished))
    # images and what is observed of them come before any noise level
    assert found == everything - {
        "download_file", "prepare", "observe", "plot_family", "plot_clusters", "plot_profile",
    }  # fmt: skip


# ---------------------------------------------------------------------------- weights


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
