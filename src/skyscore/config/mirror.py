"""Where a mirror holds the files of config/datasets.tsv."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["mirrored"]


def mirrored(url: str, mirror: str | Path) -> Path:
    """Path of the file of `url` in a mirror: <mirror>/<host>/<path>."""
    parts = urlsplit(url)
    return Path(mirror) / parts.netloc / unquote(parts.path).lstrip("/")
