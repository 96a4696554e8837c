"""Captions of the report: tables in reStructuredText."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["csv_table"]


def csv_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with one line of header; every cell is quoted, so that a comma in it does no harm."""
    head, *lines = (", ".join(f'"{cell}"' for cell in row) for row in (header, *rows))
    return "\n".join([".. csv-table::", f"   :header: {head}", "", *(f"   {line}" for line in lines)])
