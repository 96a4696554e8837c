"""Files whole or absent: atomic writing of text and bytes, and the error for an input that cannot be used."""

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
    """An input cannot be used. The message is one line: the file, what is wrong with it, what to do."""


def existing(path: str | Path) -> Path:
    """The path of a file that is there, and is what was written if its sum is beside it."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; let snakemake make it or correct the path")
    if reason := checksums.damage(path):
        raise InputError(f"{path}: damaged ({reason}); delete it and run again")
    return path


@contextlib.contextmanager
def reading(path: str | Path, what: str, remedy: str) -> Iterator[None]:
    """Whatever a library raises on the bytes of a file, as one `InputError`: damaged files meet errors of any kind."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{path}: not a readable {what} ({reason}); {remedy}") from error


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success it is flushed to disk and renamed to `path`, else removed.

    The SHA-256 of what was written is kept beside it (:mod:`skyscore.checksums`).

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
        with contextlib.suppress(OSError):  # not every file system lets a folder be flushed
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
    """Remove what a killed writer of this file left, unless a process of its number lives here."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    name = re.compile(rf"\.{stem}(?:\.(?P<pid>\d+)\.part{suffix}|{suffix}\.(?P<of_sum>\d+)\.part)")
    for other in path.parent.iterdir():
        match = name.fullmatch(other.name)
        if match and not alive(int(match["pid"] or match["of_sum"])):
            other.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def refusal(error: BaseException, folder: Path) -> int | None:
    """The number of the file system's refusal behind an error, None if it is of another kind.

    A library that writes by itself may wrap it, with the number in its text or without; the disk is full in any case.
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
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes atomically."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)
