"""Errors of the file system and their remedies. Uses only the standard library."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

__all__ = ["remedy", "unwritable"]


def unwritable(folder: str | Path) -> str | None:
    """The reason why a folder (or its nearest existing parent) cannot be written to, or None if it can."""
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
    """The remedy for an error number of the file system."""
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "make room and run the same command again"
    return "make it writable, or name another folder by `pathvars: {results: ...}`"
