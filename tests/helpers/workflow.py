"""Shared by tests of the workflow: a runner for Snakemake, a reader of its output, a copy of the workflow to break."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = {
    "default": [],
    **{
        name: ["--configfile", f"config/{name}.yaml"]
        for name in ("test", "real", "paper", "exact", "samplers")
    },
}
LIMIT = 3600.0  # s, of whatever may hang: no test that passes on a quick machine fails on one that is four times slower
SHOWN = ("Snakefile", "config", "envs", "profiles", "src", "weights", "workflow")


def clean_environment() -> dict[str, str]:
    """The environment of a user's shell."""
    environment = dict(os.environ)
    environment.pop("PYTHONPATH", None)  # scripts must find the library by themselves
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of hundreds of jobs compiles the library anew
    return environment


def run_snakemake(
    *arguments: str, cwd: Path = ROOT, timeout: float = LIMIT, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess:
    """Run Snakemake as a user would; stdout and stderr are captured together in `stdout`.

    Arguments:
        variables: of the environment, beside those of this process.
    """
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=cwd,
        env=clean_environment() | dict(variables or {}),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=timeout,
    )


def jobs(output: str) -> dict[str, int]:
    """The table of jobs of a dry run."""
    table = output.partition("Job stats:")[2]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def clear_line(done) -> str:
    """The one line that a user must see."""
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if "skyscore: error:" in line]
    assert len(lines) == 1, done.stdout
    assert "Traceback" not in done.stdout
    return lines[0]


def copy_workflow(folder: Path) -> Path:
    """A copy of what a clone holds of the workflow, to run and to break."""
    for name in SHOWN:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif source.exists():
            shutil.copy2(source, folder / name)
    return folder
