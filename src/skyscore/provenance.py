"""The origin of a result: code revision, settings, seed, versions, machine and wall time.

`provenance()` returns one flat, JSON-serialisable dictionary. It is stored as ``attrs["provenance"]`` of every HDF5
file, in the header cards of every FITS file, in the metadata of every figure and under ``"provenance"`` in every JSON
file. Two hashes identify what was requested: ``config_hash`` covers the resolved configuration of the run (the part
that `decisive` returns), ``settings_hash`` the settings of this job.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["begin", "decisive", "fingerprint", "fits_cards", "provenance"]

# keys without influence on numbers: folders, the source of downloads, the target
INCIDENTAL = ("pathvars", "mirror", "target")
PACKAGES = ("numpy", "torch", "scipy", "astropy", "caustics", "h5py", "safetensors", "matplotlib", "pqm")

# Set once per job by `begin`; a script that is called as a plain function has neither configuration nor start time.
_job: dict[str, Any] = {"config": None, "start": None, "rule": None}


def begin(config: Mapping | None = None, rule: str | None = None) -> None:
    """Starts the clock of a job and stores the resolved configuration for `provenance`."""
    _job.update(config=config, rule=rule, start=time.perf_counter())


def decisive(config: Mapping) -> dict[str, Any]:
    """The part of a configuration that determines numbers, which is what the hash in the provenance covers."""
    return {key: value for key, value in config.items() if key not in INCIDENTAL}


def fingerprint(settings: Any) -> str:
    """First 16 hexadecimal digits of the SHA-256 of `settings`, written as canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def git_revision(file: Path = Path(__file__)) -> tuple[str, bool | None]:
    """Commit of the working tree that contains this file, and whether tracked files differ from it.

    ("unknown", None) outside a git checkout: an installed wheel, an unpacked archive, a machine without git.
    """
    folder = next((above for above in file.resolve().parents if (above / "src" / "skyscore").is_dir()), None)
    if folder is None or not (folder / ".git").exists():  # never the revision of a parent repository
        return "unknown", None
    try:
        # without optional locks: a killed job must not leave a lock in the repository
        git = ["git", "--no-optional-locks", "-c", f"safe.directory={folder}", "-C", str(folder)]
        revision = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True, timeout=20
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown", None
    return revision.stdout.strip(), bool(changes.stdout.strip())


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that influence numbers."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    torch = sys.modules.get("torch")  # not imported here, because a download job does not need it
    if torch is not None:
        found["torch"] = torch.__version__
        if torch.version.cuda:
            found["cuda"] = torch.version.cuda
    return found


@cache
def processor() -> str:
    """Name of the processor, as the operating system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def accelerator() -> dict[str, Any]:
    """Name, memory and peak memory [GiB] of the GPU that this process used; None for each if it used none."""
    torch = sys.modules.get("torch")
    if torch is None or not (torch.cuda.is_available() and torch.cuda.is_initialized()):
        return dict.fromkeys(("gpu", "gpu_memory_gib", "gpu_peak_memory_gib"))
    device = torch.cuda.get_device_properties(torch.cuda.current_device())
    return {
        "gpu": device.name,
        "gpu_memory_gib": round(device.total_memory / 2**30, 1),
        "gpu_peak_memory_gib": round(torch.cuda.max_memory_reserved() / 2**30, 2),
    }


def peak_memory_mb() -> float:
    """Largest resident set of this process so far [MB]; 0 where the platform does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024**2 if sys.platform == "darwin" else 1024), 1)


def provenance(
    settings: Any = None, seed: int | None = None, config: Mapping | None = None, **extra: Any
) -> dict[str, Any]:
    """The provenance of the file that is being written.

    Arguments:
        settings: settings of this job (its `params`), stored in full and as a hash.
        seed: seed of the job.
        config: resolved configuration of the run; by default the one given to `begin`.
        extra: other entries for the file, such as checksums of the inputs.

    Returns:
        A JSON-serialisable dictionary: git revision and dirty flag, hashes, seed, versions, machine, wall time [s],
        peak memory [MB].
    """
    config = _job["config"] if config is None else config
    revision, dirty = git_revision()
    start = _job["start"]
    return {
        "git_revision": revision,
        "git_dirty": dirty,
        "config_hash": fingerprint(decisive(config)) if config else "none",
        "settings_hash": fingerprint(settings) if settings is not None else "none",
        "settings": settings,
        "seed": seed,
        "rule": _job["rule"],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_time_s": None if start is None else round(time.perf_counter() - start, 3),
        "peak_memory_mb": peak_memory_mb(),
        "versions": versions(),
        "processor": processor(),
        "cores": os.cpu_count(),
        **accelerator(),
        "platform": f"{platform.system()} {platform.release()}",
        **extra,
    }


def fits_cards(source: Mapping[str, Any]) -> list[tuple[str, Any, str]]:
    """Header cards (keyword, value, comment) for the entries of a provenance that have eight-letter keywords."""
    cards = [
        ("ORIGIN", "skyscore", "software that wrote this file"),
        ("OBJECT", source.get("problem"), "problem of the configuration"),
        ("DATE", source.get("date", "")[:19], "UTC date of this file"),
        ("GITREV", source.get("git_revision", "unknown"), "git revision of skyscore"),
        ("GITDIRTY", str(source.get("git_dirty")), "tracked files differed from GITREV"),
        ("CFGHASH", source.get("config_hash", "none"), "SHA-256 (16 digits) of the configuration"),
        ("SETHASH", source.get("settings_hash", "none"), "SHA-256 (16 digits) of the job's settings"),
        ("SEED", source.get("seed"), "seed of the job"),
        ("WALLTIME", source.get("wall_time_s"), "[s] wall time of the job"),
        ("GPU", source.get("gpu") or "none", "accelerator"),
        ("GPUMEM", source.get("gpu_memory_gib"), "[GiB] its memory"),
        ("PYTHONV", source.get("versions", {}).get("python"), "version of Python"),
        ("TORCHV", source.get("versions", {}).get("torch"), "version of torch"),
    ]
    return [card for card in cards if card[1] is not None]
