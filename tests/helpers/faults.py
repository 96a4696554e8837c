"""Faults in a real part of the workflow: how it is run, killed and damaged, and how its results are compared.

The part is the prior of the `test` configuration, one sampler's posterior of the lens, and its residuals.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import psutil
from astropy.io import fits
from safetensors import safe_open

from tests.helpers.workflow import LIMIT, clean_environment

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

FAULTS = {  # as docs/explanation/reliability.md names them
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


@contextlib.contextmanager
def attempt(fault: str) -> Iterator[dict]:
    """Counts a fault as tried, and as survived if the body raises nothing.

    The body puts into the dictionary how many `jobs` and `steps` were repeated.
    """
    row, found = RECORD[FAULTS[fault]], {"jobs": 0, "steps": None}
    row["tried"] += 1
    yield found
    row["survived"] += 1
    row["jobs"] = max(row["jobs"], found["jobs"])
    if found["steps"] is not None:
        row["steps"] = max(row["steps"] or 0, found["steps"])


# ---------------------------------------------------------------------------- runs


def start(folder: Path, targets: list[str] = TARGETS, **options) -> subprocess.Popen:
    """Starts the documented command in a process group of its own; its output goes to run.log."""
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
    with open(folder / "run.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *targets, *CONFIG],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, **options,
        )  # fmt: skip


def finish(folder: Path, targets: list[str] = TARGETS, **options) -> tuple[int, str]:
    """Runs the command to its end; returns the exit code and the output."""
    code = start(folder, targets, **options).wait(timeout=LIMIT)
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
