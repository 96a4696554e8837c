"""SHA-256 checksums of all files that the workflow writes, stored beside them: `posterior.h5`, `.posterior.h5.sha256`.

The checksum file is a line of `sha256sum`, so that `sha256sum --check .posterior.h5.sha256` works too. It carries the
modification time of its file: equal times mean that the file has not changed since. A file without a checksum is
accepted.

Uses only the standard library, because it runs with Snakemake, outside the environments of the rules.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["beside", "damage", "damaged_in", "digest_of", "forget", "move", "seal"]


def beside(path: str | Path) -> Path:
    """Path of the checksum file of a file."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def digest_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def forget(path: str | Path) -> None:
    """Deletes the checksum file of a file."""
    beside(path).unlink(missing_ok=True)


def seal(path: str | Path, digest: str) -> None:
    """Writes the checksum file of a file, atomically.

    Between the rename of a new file and this call there is no checksum at all (`forget` comes before both). A kill in
    between leaves a file that is accepted, never an intact file that looks damaged.
    """
    path, temporary = Path(path), beside(path).with_suffix(f".{os.getpid()}.part")
    try:
        temporary.write_text(f"{digest}  {path.name}\n", encoding="utf-8")
        stamp(path, temporary)
        os.replace(temporary, beside(path))
    finally:
        temporary.unlink(missing_ok=True)


def stamp(path: Path, sum_: Path) -> None:
    """Sets the modification time of the checksum file to that of its file."""
    time = path.stat().st_mtime_ns
    os.utime(sum_, ns=(time, time))


def move(path: str | Path, to: str | Path) -> None:
    """Renames a file and its checksum file; a kill in between leaves files without a checksum, not with a wrong one."""
    forget(to)
    os.replace(path, to)
    if beside(path).exists():
        os.replace(beside(path), beside(to))
        Path(beside(to)).write_text(beside(to).read_text().split()[0] + f"  {Path(to).name}\n")
        stamp(Path(to), beside(to))


def damage(path: str | Path, thorough: bool = True) -> str | None:
    """The damage of a file in words, or None if it is intact or has no checksum.

    Arguments:
        path: the file.
        thorough: compute the checksum in any case; otherwise only if the modification times differ.
    """
    path, sum_ = Path(path), beside(path)
    try:
        if not thorough and sum_.stat().st_mtime_ns == path.stat().st_mtime_ns:
            return None
        expected = sum_.read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return None
    if not expected or len(expected[0]) != 64:  # the checksum file itself is damaged
        return None
    found = digest_of(path)
    if found != expected[0]:
        return f"SHA-256 is {found[:12]}..., but {expected[0][:12]}... was written"
    with contextlib.suppress(OSError):  # the folder can be read-only
        stamp(path, sum_)
    return None


def damaged_in(folder: str | Path, thorough: bool = True) -> Iterator[tuple[Path, str]]:
    """All damaged files below a folder, each with its damage in words; arguments as for :func:`damage`."""
    for sum_ in sorted(Path(folder).rglob(".*.sha256")):
        path = sum_.with_name(sum_.name.removeprefix(".").removesuffix(".sha256"))
        if path.is_file() and (reason := damage(path, thorough)):
            yield path, reason
