"""Atomic writing of text and bytes, and the error for an input that cannot be used."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from skyscore import checksums
from skyscore.compute.disk import remedy

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM)


class InputError(ValueError):
    """An input that cannot be used. The message is one line: the file, the fault, the remedy."""


def existing(path: str | Path) -> Path:
    """The path, after checking that the file exists and matches its stored checksum, if there is one.

    Raises:
        InputError: if it does not exist or is damaged.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; make it with snakemake or correct the path")
    if reason := checksums.damage(path):
        raise InputError(f"{path}: damaged ({reason}); delete it and run again")
    return path


@contextlib.contextmanager
def reading(path: str | Path, what: str, remedy: str) -> Iterator[None]:
    """Turns any exception of a library that reads a file into one `InputError`: damaged files cause errors of any kind.

    Arguments:
        path: the file.
        what: expected kind of file.
        remedy: what the user can do.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{path}: not a readable {what} ({reason}); {remedy}") from error


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; on success that file is flushed to disk and renamed to `path`, else
    removed.

    The SHA-256 of the file is stored beside it (:mod:`skyscore.checksums`).

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear(path)
        yield temporary
        flush(temporary)
        digest = checksums.digest_of(temporary)
        checksums.forget(path)
        os.replace(temporary, path)
        checksums.seal(path, digest)
        with contextlib.suppress(OSError):  # some file systems cannot flush a folder
            flush(path.parent)
    except Exception as error:
        number = refusal(error, path.parent)
        if number is None:
            raise
        raise InputError(f"{path}: cannot be written ({os.strerror(number)}); {remedy(number)}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def clear(path: Path) -> None:
    """Removes files left by a killed writer of this file, unless a process with its number is running here."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    name = re.compile(rf"\.{stem}(?:\.(?P<pid>\d+)\.part{suffix}|{suffix}\.(?P<of_sum>\d+)\.part)")
    for other in path.parent.iterdir():
        match = name.fullmatch(other.name)
        if match and not alive(int(match["pid"] or match["of_sum"])):
            other.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    """Whether a process with this number is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def refusal(error: BaseException, folder: Path) -> int | None:
    """The error number with which the file system refused, or None for another kind of error.

    A library that writes files itself may hide the number in its text or drop it; a full disk is recognised in any
    case.
    """
    number = getattr(error, "errno", None)
    if number in REFUSED:
        return number
    found = re.search(r"errno = (\d+)", str(error))
    if found and int(found[1]) in REFUSED:
        return int(found[1])
    if isinstance(error, (OSError, RuntimeError)) and not isinstance(error, FileNotFoundError):
        with contextlib.suppress(OSError):
            if shutil.disk_usage(folder).free < 2**16:
                return errno.ENOSPC
    return None


def flush(path: Path) -> None:
    """Flushes a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Writes a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Writes bytes atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
