"""Captions of the report, in reStructuredText: tables, and the provenance line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import write_text

__all__ = ["csv_table", "write_caption"]


def csv_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with one header line; every cell is quoted so that it may contain a comma."""
    head, *lines = (", ".join(f'"{cell}"' for cell in row) for row in (header, *rows))
    return "\n".join([".. csv-table::", f"   :header: {head}", "", *(f"   {line}" for line in lines)])


def write_caption(path: str | Path, parts: Iterable[str], made: Mapping[str, Any]) -> None:
    """Writes paragraphs, followed by the revision and seed of the provenance `made`."""
    seed = "" if made.get("seed") is None else f", seed {made['seed']}"
    write_text(path, "\n\n".join([*parts, f"Revision ``{made['git_revision'][:12]}``{seed}."]) + "\n")
