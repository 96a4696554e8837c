"""Recovery after a killed run: its lock is removed, damaged files are set aside. A living run is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plan import restart
from plan.restart import Book
from skyscore import checksums, io
from tests.helpers.workflow import ROOT

PATHS = os.pathsep.join([str(ROOT / "workflow"), str(ROOT / "src")])
RUN = """
import sys
from plan.restart import Book
book = Book(".snakemake", ["results"])
print(book.recover(), flush=True)
book.started()
print("started", flush=True)
sys.stdin.read()
book.ended()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    return tmp_path


def begun() -> subprocess.Popen:
    """A run, in a process of its own, that has begun and goes on until its input ends."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], env={**os.environ, "PYTHONPATH": PATHS},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    run.said = run.stdout.readline().strip()
    assert run.stdout.readline() == "started\n"
    return run


def lock() -> Path:
    path = Path(".snakemake/locks/0.output.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("results/a.txt\n")
    return path


def damaged_file(folder: Path) -> Path:
    """A file that is not what was written, its time of change as before: as after a power cut."""
    path = folder / "results" / "deep" / "a.json"
    io.write_json(path, [1, 2])
    time = path.stat().st_mtime_ns
    path.write_text("[1, 3")
    os.utime(path, ns=(time, time))
    return path


def test_the_lock_of_a_dead_run_is_removed_and_that_of_a_living_one_is_not(folder):
    one = begun()
    assert one.said == "[]"
    held = lock()
    other = begun()
    assert other.said == "[]" and held.exists()
    for run in (one, other):
        run.send_signal(signal.SIGKILL)
        run.wait()
    third = begun()
    assert "its lock is removed" in third.said and not held.exists()
    third.communicate("")
    assert third.returncode == 0
    assert Path(".snakemake/skyscore.runs").read_text() == ""


def test_a_lock_that_another_host_may_hold_stays(folder):
    held = lock()
    Path(".snakemake/skyscore.runs").write_text("another-host 123\n")
    book = Book(".snakemake", [])
    assert book.take_up() == [] and held.exists() and book.unclean


def test_damaged_files_are_set_aside_and_asked_for(folder):
    path = damaged_file(folder)
    first = Book(".snakemake", ["results"])
    assert first.recover() == [] and path.exists()  # the last run ended well: times are trusted
    first.started()
    first.book.close()  # and this one is killed
    second = Book(".snakemake", ["results"])
    (said,) = second.recover()
    assert said.startswith("results/deep/a.json: damaged (SHA-256 ") and "\n" not in said
    assert not path.exists() and path.with_name("a.json.damaged").read_text() == "[1, 3"
    assert not checksums.beside(path).exists()
    assert second.to_be_made_again() == ["results/deep/a.json"]
    io.write_json(path, [1, 2])
    assert second.to_be_made_again() == [] and second.check() == []


def test_a_file_whose_time_has_changed_is_read_after_any_run(folder):
    path = damaged_file(folder)
    os.utime(path)
    (said,) = Book(".snakemake", ["results"]).recover()
    assert said.startswith("results/deep/a.json: damaged (SHA-256 ")


def test_nothing_is_set_aside_while_another_run_lives(folder):
    path = damaged_file(folder)
    os.utime(path)
    other = begun()  # it has set the first damage aside
    path.unlink(missing_ok=True)
    path = damaged_file(folder)
    os.utime(path)
    book = Book(".snakemake", ["results"])
    assert book.recover() == [] and path.exists() and not book.alone
    other.communicate("")


def test_a_book_asks_for_nothing_and_writes_nothing_before_it_recovers(folder):
    damaged_file(folder)
    before = sorted(folder.rglob("*"))
    book = Book(".snakemake", ["results"])
    assert book.to_be_made_again() == []
    book.started()
    book.ended()
    assert sorted(folder.rglob("*")) == before


def test_recovery_by_hand(folder):
    """`python -m plan.restart`, which `make recover` calls."""
    path, held = damaged_file(folder), lock()
    Path(".snakemake/skyscore.runs").write_text(f"{restart.socket.gethostname()} {2**22 + 1}\n")
    done = subprocess.run(
        [sys.executable, "-m", "plan.restart"],
        env={**os.environ, "PYTHONPATH": PATHS}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not held.exists() and not path.exists() and path.with_name("a.json.damaged").exists()
    assert "results/deep/a.json: damaged" in done.stdout + done.stderr
