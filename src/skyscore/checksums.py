"""The SHA-256 of every file that the workflow writes, beside it: `posterior.h5` and `.posterior.h5.sha256`.

A line of `sha256sum`, so that `sha256sum --check .posterior.h5.sha256` checks it too. The file with the sum carries the
time at which its file was written: who finds the two times equal may trust that nothing has happened since. A file
without a sum is taken as it is.

Uses the standard library only, since it runs where Snakemake does, outside the environments of the rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["beside", "damage", "damaged_in", "digest_of", "forget", "move", "seal"]


def beside(path: str | Path) -> Path:
    """Where the sum of a file is."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def digest_of(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(path: str | Path) -> None:
    beside(path).unlink(missing_ok=True)


def seal(path: str | Path, digest: str) -> None:
    """Write the sum of a file, atomically.

    Between a new file's rename and this one there is no sum at all (`forget` comes before both): a kill in between
    leaves a file that is taken as it is, never a good one that looks damaged.
    """
    path, temporary = Path(path), beside(path).with_suffix(f".{os.getpid()}.part")
    try:
        temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        stamp(path, temporary)
        os.replace(temporary, beside(path))
    finally:
        temporary.unlink(missing_ok=True)


def stamp(path: Path, sum_: Path) -> None:
    """Give the sum the time of its file."""
    time = path.stat().st_mtime_ns
    os.utime(sum_, ns=(time, time))


def move(path: str | Path, to: str | Path) -> None:
    """Rename a file and its sum; a kill in between leaves files without a sum, not with a wrong one."""
    forget(to)
    os.replace(path, to)
    if beside(path).exists():
        os.replace(beside(path), beside(to))
        Path(beside(to)).write_text(beside(to).read_text().split()[0] + f"  {Path(to).name}\n")
        stamp(Path(to), beside(to))


def damage(path: str | Path, thorough: bool = True) -> str | None:
    """What is wrong with a file, None if nothing is (or if it has no sum).

    Arguments:
        thorough: compute the sum in any case; else only if the file was changed after it was sealed.
    """
    path, sum_ = Path(path), beside(path)
    try:
        if not thorough and sum_.stat().st_mtime_ns == path.stat().st_mtime_ns:
            return None
        expected = sum_.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return None
    if not expected or len(expected[0]) != 64:  # the sum itself is damaged: it says nothing
        return None
    found = digest_of(path)
    if found != expected[0]:
        return f"SHA-256 {found[:12]}... where {expected[0][:12]}... was written"
    with contextlib.suppress(OSError):  # a read-only folder
        stamp(path, sum_)
    return None


def damaged_in(folder: str | Path, thorough: bool = True) -> Iterator[tuple[Path, str]]:
    """Every file below a folder that is not what was written, and what is wrong with it."""
    for sum_ in sorted(Path(folder).rglob(".*.sha256")):
        path = sum_.with_name(sum_.name.removeprefix(".").removesuffix(".sha256"))
        if path.is_file() and (reason := damage(path, thorough)):
            yield path, reason
