"""What the file system refuses, and what to do about it. Uses the standard library only."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

__all__ = ["remedy", "unwritable"]


def unwritable(folder: str | Path) -> str | None:
    """Why nothing can be written into a folder (or the nearest one above it that exists), None if it can."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return f"{folder}: cannot be written ({error.strerror}); {remedy(error.errno)}"
    return None


def remedy(number: int | None) -> str:
    """What to do about an error of the file system."""
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room and run the same command again"
    return "make it writable, or name another folder by `pathvars: {results: ...}`"
