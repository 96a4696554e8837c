"""A run repairs what a killed one left before its first job; questions about the workflow change no file."""

from __future__ import annotations

import re
import shutil
import socket
from pathlib import Path

import pytest

from plan.run import one_of
from skyscore import checksums
from tests.helpers.files import listing
from tests.helpers.workflow import OVERLAYS, copy_workflow

FILE = "results/test/data/galaxies16/held_out.h5"
TEST = [*OVERLAYS["test"], "--", FILE]
QUESTIONS = {
    "dry run": ["-n", *TEST],
    "rules": ["--list-rules", *OVERLAYS["test"]],
    "targets": ["--list-target-rules", *OVERLAYS["test"]],
    "lint": ["--lint", *OVERLAYS["test"]],
    "summary": ["--summary", *TEST],
    "detailed summary": ["--detailed-summary", *TEST],
    "changes": ["--list-params-changes", *TEST],
    "rule graph": ["--rulegraph", *TEST],
    "graph of jobs": ["--dag", *TEST],
    "graph of files": ["--filegraph", *TEST],
}


def test_one_of_matches_names_as_they_are_and_nothing_where_there_are_none():
    pattern = re.compile(one_of(["a.b", "c"]))
    assert pattern.fullmatch("a.b") and pattern.fullmatch("c") and not pattern.fullmatch("axb")
    assert not re.compile(one_of([])).search("anything")


@pytest.fixture(scope="module")
def killed(snakemake, tmp_path_factory) -> Path:
    """A folder in which a run was killed: a lock, a line in the book of runs, and a file with one byte changed."""
    folder = copy_workflow(tmp_path_factory.mktemp("killed"))
    done = snakemake("--cores", "1", *TEST, cwd=folder)
    assert done.returncode == 0, done.stdout
    shutil.copytree(folder / "results", folder / "whole")
    content = bytearray((folder / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / FILE).write_bytes(content)
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(f"{FILE}\n")
    dead = 2**22 + 1  # no process has this number
    (folder / ".snakemake" / "skyscore.runs").write_text(f"{socket.gethostname()} {dead}\n")
    return folder


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_change_no_file(snakemake, killed, question):
    before = listing(killed)
    done = snakemake(*QUESTIONS[question], cwd=killed)
    assert done.returncode == 0, done.stdout
    assert listing(killed) == before
    assert not list(killed.rglob("*.damaged"))


def test_a_report_changes_no_file_but_its_own(snakemake, killed):
    before = listing(killed)
    done = snakemake("--report", "report.html", *TEST, cwd=killed)
    assert done.returncode == 0, done.stdout
    after = listing(killed)
    after.pop("report.html")
    assert after == before


def test_unlocking_removes_the_lock_and_nothing_else(snakemake, killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "run", symlinks=True)
    before = listing(folder)
    assert before.pop(".snakemake/locks/0.output.lock")
    assert snakemake("--unlock", *TEST, cwd=folder).returncode == 0
    assert listing(folder) == before


def test_a_run_repairs_what_the_killed_one_left(snakemake, killed, tmp_path):
    folder = shutil.copytree(killed, tmp_path / "run", symlinks=True)
    changed = (folder / FILE).read_bytes()
    done = snakemake("--cores", "1", *TEST, cwd=folder)
    assert done.returncode == 0, done.stdout
    assert "its lock is removed" in done.stdout
    assert re.search(rf"{FILE}: damaged \(SHA-256 .+\); kept as held_out\.h5\.damaged", done.stdout)
    assert (folder / f"{FILE}.damaged").read_bytes() == changed
    assert checksums.damage(folder / FILE) is None and (folder / FILE).read_bytes() != changed
    assert not list((folder / ".snakemake" / "locks").glob("*"))
    assert (folder / ".snakemake" / "skyscore.runs").read_text() == ""
    again = snakemake("-n", *TEST, cwd=folder)
    assert "Nothing to be done" in again.stdout, again.stdout
