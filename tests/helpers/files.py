"""What lies in a folder: names, times and contents, to be compared before and after."""

from __future__ import annotations

import hashlib
from pathlib import Path

APART = {
    "__pycache__",
    ".snakemake/log",
    ".snakemake/iocache",
}  # what Python and Snakemake keep for themselves


def listing(folder: Path) -> dict[str, tuple[int, str]]:
    """Time of change [ns] and SHA-256 of every file below a folder, by path."""
    return {
        str(path.relative_to(folder)): (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(f"/{name}/" in str(path) for name in APART)
    }
