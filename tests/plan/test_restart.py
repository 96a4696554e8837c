"""What a killed run leaves is taken up: its lock, its damaged files; a living run is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from plan import restart
from skyscore import io

SRC = str(Path(restart.__file__).resolve().parents[1])
RUN = """
import sys, time
from plan.restart import Run
run = Run(".snakemake", ["results"])
print(run.take_up(), flush=True)
run.check()
run.started()
print("started", flush=True)
sys.stdin.read()
run.ended()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    return tmp_path


def begun() -> subprocess.Popen:
    """A run, in a process of its own, that has begun and goes on until its input ends."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN], env={**os.environ, "PYTHONPATH": SRC},
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
    run = restart.Run(".snakemake", [])
    assert run.take_up() == [] and held.exists() and run.unclean


def test_damaged_files_are_set_aside_and_asked_for(folder):
    path = folder / "results" / "deep" / "a.json"
    io.write_json(path, [1, 2])
    time = path.stat().st_mtime_ns
    path.write_text("[1, 3")
    os.utime(path, ns=(time, time))  # as after a power cut
    first = restart.Run(".snakemake", ["results"])
    first.take_up()
    assert first.check() == [] and path.exists()  # the last run ended well: times are trusted
    first.started()
    first.book.close()  # and this one is killed
    second = restart.Run(".snakemake", ["results"])
    second.take_up()
    (said,) = second.check()
    assert said.startswith("results/deep/a.json: damaged (SHA-256 ") and "\n" not in said
    assert not path.exists() and path.with_name("a.json.damaged").read_text() == "[1, 3"
    assert second.to_be_made_again() == ["results/deep/a.json"]
    io.write_json(path, [1, 2])
    assert second.to_be_made_again() == [] and second.check() == []


def test_a_folder_that_cannot_be_written_is_named(folder, monkeypatch):
    assert restart.unwritable("results/new/deep") is None and not Path("results/new").exists()
    said = restart.unwritable("/proc/self")  # takes no files, not even from root
    assert said.startswith("/proc/self: cannot be written (") and "make it writable" in said
