"""Nothing is lost: faults at random times in a real part of the workflow, the same command again, the same results.

`make reliability` records what was tried in docs/results/reliability.json; SKYSCORE_TRIES sets how often.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import psutil
import pytest
from astropy.io import fits
from safetensors import safe_open

from skyscore.provenance import provenance
from tests.helpers.workflow import copy_workflow

pytestmark = pytest.mark.slow

TRIES = int(os.environ.get("SKYSCORE_TRIES", 1))
STEPS, EVERY = 240, 30
OVERLAY = f"""
priors: {{galaxies16: {{training: {{steps: {STEPS}, checkpoint_every: {EVERY}}}}}}}
"""
CONFIG = ["--cores", "1", "--configfile", "config/test.yaml", "faults.yaml"]
RESULTS = Path("results/test")
FIRST = [f"{RESULTS}/data/galaxies16/train.h5", f"{RESULTS}/lens/observation.h5"]
PRIOR = f"{RESULTS}/priors/galaxies16.safetensors"
POSTERIOR = [f"{RESULTS}/lens/cla/posterior.h5", f"{RESULTS}/lens/cla/posterior.fits"]
RESIDUALS = [f"{RESULTS}/lens/cla/residuals.json", f"{RESULTS}/lens/cla/panels.h5"]
TARGETS = [*FIRST, PRIOR, *POSTERIOR, *RESIDUALS]

FAULTS = {  # as docs/reliability.md names them
    "job": "SIGKILL of a job",
    "run": "SIGKILL of Snakemake and all of its jobs",
    "training": "SIGKILL in a training",
    "checkpoint half": "the same, and the last checkpoint cut in half",
    "checkpoint zeros": "the same, and zeros at the end of the last checkpoint",
    "prior": "weights (safetensors) cut short",
    "posterior": "samples (HDF5) with zeros at the end, their time of change as before, after a killed run",
    "image": "image (FITS) cut short",
    "numbers": "numbers (JSON) with one bit changed",
    "full": "full disk",
    "read-only": "read-only results",
}
RECORD = {name: {"tried": 0, "survived": 0, "jobs": 0, "steps": None} for name in FAULTS.values()}


@pytest.fixture(autouse=True)
def record() -> Iterator[None]:
    """What was tried, written after each fault where SKYSCORE_RELIABILITY names a file.

    Faults that this session has not tried keep what a session of the same revision found.
    """
    yield
    if path := os.environ.get("SKYSCORE_RELIABILITY"):
        keys = ("git_revision", "git_dirty", "date", "processor", "versions")
        origin = {key: provenance()[key] for key in keys}
        before = json.loads(Path(path).read_text()) if Path(path).exists() else {"faults": {}}
        same = before.get("provenance", {}).get("git_revision") == origin["git_revision"]
        known = before["faults"] if same else {}
        rows = {name: row if row["tried"] else known.get(name, row) for name, row in RECORD.items()}
        content = {"faults": rows, "steps": STEPS, "checkpoint_every": EVERY, "provenance": origin}
        Path(path).write_text(json.dumps(content, indent=1) + "\n")


@contextlib.contextmanager
def attempt(fault: str) -> Iterator[dict]:
    """One fault: counted as tried, and as survived if nothing in it fails; `jobs` and `steps` repeated are put in."""
    row, found = RECORD[FAULTS[fault]], {"jobs": 0, "steps": None}
    row["tried"] += 1
    yield found
    row["survived"] += 1
    row["jobs"] = max(row["jobs"], found["jobs"])
    if found["steps"] is not None:
        row["steps"] = max(row["steps"] or 0, found["steps"])


# ---------------------------------------------------------------------------- runs


def start(folder: Path, targets: list[str] = TARGETS, **options) -> subprocess.Popen:
    """The documented command, in a process group of its own; what it says goes to run.log."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment.pop("PYTHONPATH", None)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with open(folder / "run.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *targets, *CONFIG],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, **options,
        )  # fmt: skip


def finish(folder: Path, targets: list[str] = TARGETS, **options) -> tuple[int, str]:
    """The same to its end: exit code, and what it said."""
    code = start(folder, targets, **options).wait(timeout=600)
    return code, said(folder)


def said(folder: Path) -> str:
    return (folder / "run.log").read_text(errors="replace")


def jobs(text: str) -> list[str]:
    """The jobs that a run started, by their messages."""
    return re.findall(r"^Job \d+: (.+)$", text, re.MULTILINE)


def kill(run: subprocess.Popen) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def jobs_of(run: subprocess.Popen) -> list[psutil.Process]:
    """The processes that compute for a run."""
    found = []
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in psutil.Process(run.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                command = process.cmdline()
                if (
                    command
                    and "python" in Path(command[0]).name
                    and ".snakemake/scripts" in " ".join(command)
                ):
                    found.append(process)
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict:
    """`prepared`: data and observation are made; `finished`: all is; `seconds` and `jobs` from one to the other."""
    prepared = copy_workflow(tmp_path_factory.mktemp("prepared"))
    (prepared / "faults.yaml").write_text(OVERLAY)
    code, text = finish(prepared, FIRST)
    assert code == 0, text[-6000:]
    finished = copied(prepared, tmp_path_factory.mktemp("base") / "finished")
    begun = time.monotonic()
    code, text = finish(finished)
    assert code == 0, text[-6000:]
    assert len(jobs(text)) == 3, text
    return {"prepared": prepared, "finished": finished, "seconds": time.monotonic() - begun}


def copied(folder: Path, to: Path) -> Path:
    """A copy with the times of its files, which decide what runs again."""
    return Path(shutil.copytree(folder, to, symlinks=True))


# ---------------------------------------------------------------------------- results

VOLATILE = {"date", "wall_time_s", "peak_memory_mb"}


def stripped(source: str | dict) -> dict:
    source = json.loads(source) if isinstance(source, str) else source
    return {key: value for key, value in source.items() if key not in VOLATILE}


def content(path: Path) -> dict:
    """All that a file holds, but for dates, wall times and peak memory in its provenance."""
    if path.suffix == ".h5":
        with h5py.File(path) as file:
            found = {
                name: (data[()].tobytes(), data.dtype.str, dict(data.attrs)["units"])
                for name, data in file.items()
            }
            return found | {key: v if key != "provenance" else stripped(v) for key, v in file.attrs.items()}
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            about = {k: stripped(v) if k == "provenance" else v for k, v in file.metadata().items()}
            return {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()} | about
    if path.suffix == ".fits":
        with warnings.catch_warnings(), fits.open(path, checksum=True) as file:
            warnings.simplefilter("error")
            apart = {"DATE", "WALLTIME", "HISTORY", "CHECKSUM", "DATASUM"}
            return {
                hdu.name: (hdu.data.tobytes(), [card for card in hdu.header.items() if card[0] not in apart])
                for hdu in file
            }
    found = json.loads(path.read_text())
    return found | {"provenance": stripped(found["provenance"])}


def assert_same(folder: Path, folders: dict, targets: list[str] = TARGETS) -> None:
    for target in targets:
        assert content(folder / target) == content(folders["finished"] / target), target
    assert not list(folder.rglob("*.part*"))


# ---------------------------------------------------------------------------- kills


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("fault", ["job", "run"])
def test_kills(folders, tmp_path, fault, seed):
    """At any time: the job that was at work is done again, and no other."""
    wait = random.Random(f"{fault} {seed}").uniform(0.1, 0.9) * folders["seconds"]
    for number in range(5):  # a run may be faster than the one that was timed
        run = start(folder := copied(folders["prepared"], tmp_path / f"{number}"))
        time.sleep(wait)
        if fault == "run":
            if run.poll() is None:
                kill(run)
        else:
            while run.poll() is None and not (victims := jobs_of(run)):
                time.sleep(0.01)
            for victim in victims if run.poll() is None else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()
        if run.wait(timeout=600) != 0:
            break
        wait /= 2
    with attempt(fault) as found:
        before = said(folder)
        code, text = finish(folder)
        assert code == 0, text[-6000:]
        assert_same(folder, folders)
        found["jobs"] = len(jobs(before)) + len(jobs(text)) - 3
        assert 0 <= found["jobs"] <= 1, before + text


def progress(folder: Path) -> str:
    return (folder / RESULTS / "logs/train_prior/galaxies16.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def interrupted(folders, tmp_path_factory) -> list[tuple[Path, int]]:
    """Trainings that were killed between two checkpoints, two of which are there; the steps that were made."""
    found = []
    for seed in range(TRIES):
        folder = copied(folders["prepared"], tmp_path_factory.mktemp("killed") / "run")
        run, wait = (
            start(folder, [PRIOR]),
            random.Random(f"training {seed}").randrange(2 * EVERY, STEPS - EVERY),
        )
        made = 0
        while run.poll() is None and made <= wait:
            time.sleep(0.002)
            with contextlib.suppress(OSError):
                made = max([0, *map(int, re.findall(rf"(\d+)/{STEPS} \[", progress(folder)))])
        kill(run)
        made = max(map(int, re.findall(rf"(\d+)/{STEPS} \[", progress(folder))))
        assert list(folder.glob("checkpoints/*.before.safetensors")), said(folder)
        found.append((folder, made))
    return found


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("fault", ["training", "checkpoint half", "checkpoint zeros"])
def test_trainings_go_on_from_a_checkpoint_that_is_whole(folders, interrupted, tmp_path, fault, seed):
    killed, made = interrupted[seed]
    folder = copied(killed, tmp_path / "run")
    (last,) = (p for p in folder.glob("checkpoints/galaxies16-*.safetensors") if ".before" not in p.name)
    if fault != "training":
        damage(last, fault.split()[1])
    with attempt(fault) as found:
        code, text = finish(folder, [PRIOR])
        assert code == 0, text[-6000:]
        assert_same(folder, folders, [PRIOR])
        log, allowed = progress(folder), EVERY
        if fault != "training":
            assert f"{last.relative_to(folder)}: checkpoint is damaged (SHA-256 " in log
            allowed = 2 * EVERY  # the interval that was under way, and the one of the checkpoint
        resumed = int(re.search(r"training goes on from step (\d+)", log)[1])
        found["jobs"], found["steps"] = len(jobs(text)), made - resumed  # all of them had been started before
        assert resumed > 0 and made - resumed <= allowed


# ---------------------------------------------------------------------------- damage


def damage(path: Path, manner: str, at: float = 0.5) -> None:
    whole = path.read_bytes()
    cut = int(at * len(whole))
    if manner == "half":
        path.write_bytes(whole[:cut])
    elif manner == "zeros":
        path.write_bytes(whole[:cut] + bytes(len(whole) - cut))
    else:
        path.write_bytes(whole[:cut] + bytes([whole[cut] ^ 1]) + whole[cut + 1 :])
    assert path.read_bytes() != whole


OUTPUTS = {  # the file, how it is damaged, the jobs that run again: the one that makes it, and those that read it
    "prior": (PRIOR, "half", 3),
    "posterior": (POSTERIOR[0], "zeros", 2),
    "image": (POSTERIOR[1], "half", 2),
    "numbers": (RESIDUALS[0], "bit", 1),
}


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("fault", OUTPUTS)
def test_damaged_outputs_are_named_and_made_again(folders, tmp_path, fault, seed):
    folder = copied(folders["finished"], tmp_path / "run")
    target, manner, again = OUTPUTS[fault]
    path, time_ = folder / target, (folder / target).stat().st_mtime_ns
    damage(path, manner, random.Random(f"{fault} {seed}").uniform(0.1, 0.9))
    if manner == "zeros":  # a power cut: the time of the file says nothing, and the run did not end
        os.utime(path, ns=(time_, time_))
        (folder / ".snakemake" / "skyscore.runs").write_text(f"{socket.gethostname()} {2**22 + 1}\n")
    with attempt(fault) as found:
        code, text = finish(folder)
        assert code == 0, text[-6000:]
        assert re.search(
            rf"skyscore: {re.escape(target)}: damaged \(SHA-256 .+\); kept as {path.name}\.damaged", text
        )
        assert_same(folder, folders)
        found["jobs"] = len(jobs(text))
        assert found["jobs"] == again, text


# ---------------------------------------------------------------------------- disks


def mount(*arguments: str) -> bool:
    return os.geteuid() == 0 and subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[bool]:
    """The results of a run on a file system of their own; False, and nothing done, where none can be mounted."""
    results = folder / RESULTS
    aside = results.rename(results.with_name("aside"))
    results.mkdir()
    mounted = mount("-t", "tmpfs", "-o", "size=64m", "skyscore", str(results))
    try:
        shutil.copytree(aside, results, dirs_exist_ok=True)
        shutil.rmtree(aside)
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(results)], check=True)


def pages(folder: Path) -> int:
    """Bytes of all files of a folder, in whole pages."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("seed", range(TRIES))
def test_full_disk(folders, tmp_path, seed):
    share = random.Random(f"full {seed}").uniform(0.1, 0.8)
    folder = copied(folders["prepared"], tmp_path / "run")
    with attempt("full") as found, disk(folder) as mounted:
        used, needed = pages(folder / RESULTS), pages(folders["finished"] / RESULTS)
        if mounted:
            limit = used + share * (needed - used)
            assert mount("-o", f"remount,size={int(limit / 4096) * 4096}", str(folder / RESULTS))
            code, before = finish(folder)
            wrong = "No space left on device"
            assert mount("-o", "remount,size=64m", str(folder / RESULTS))
        else:  # no file may grow beyond a limit: a write then fails in the same way
            limit = int(share * (folders["finished"] / PRIOR).stat().st_size)
            both = (limit, limit)
            code, before = finish(folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, both))
            wrong = "File too large"
        assert code != 0, before
        assert wrong in before, before
        code, text = finish(folder)
        assert code == 0, text[-6000:]
        assert_same(folder, folders)
        found["jobs"] = len(jobs(before)) + len(jobs(text)) - 3
        assert 0 <= found["jobs"] <= 1, before + text


@pytest.mark.parametrize("seed", range(TRIES))
def test_read_only_results(folders, tmp_path, seed):
    folder = copied(folders["prepared"], tmp_path / "run")
    with contextlib.ExitStack() as stack:
        mounted = stack.enter_context(disk(folder))
        if not mounted and os.geteuid() == 0:
            pytest.skip("root may write into any folder, and no file system can be mounted here")
        found = stack.enter_context(attempt("read-only"))
        if mounted:
            assert mount("-o", "remount,ro", str(folder / RESULTS))
        else:
            (folder / RESULTS).chmod(0o555)
        code, before = finish(folder, [PRIOR])
        assert code != 0
        assert re.search(
            rf"skyscore: error: .*{RESULTS}: cannot be written \(.+\); make it writable", before
        ), before
        if mounted:
            assert mount("-o", "remount,rw", str(folder / RESULTS))
        else:
            (folder / RESULTS).chmod(0o755)
        code, text = finish(folder, [PRIOR])
        assert code == 0, text[-6000:]
        assert_same(folder, folders, [*FIRST, PRIOR])
        found["jobs"] = len(jobs(before)) + len(jobs(text)) - 1
        assert found["jobs"] == 0, before + text
