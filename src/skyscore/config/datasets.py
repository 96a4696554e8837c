"""The table of files, config/datasets.tsv: read and checked; and where a mirror holds each of them."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .schema import load_schema
from .settings import SettingsError, check, place

__all__ = ["check_table", "mirrored", "read_table"]


def mirrored(url: str, mirror: str | Path) -> Path:
    """Where a mirror holds the file of `url`: <mirror>/<host>/<path>."""
    parts = urlsplit(url)
    return Path(mirror) / parts.netloc / unquote(parts.path).lstrip("/")


def read_table(path: str | Path, source: str, name: str = "datasets") -> list[dict[str, Any]]:
    """The checked rows of a tab-separated file, see `check_table`; `source` is its name in messages.

    Raises:
        SettingsError: no such file, no table, or a row that is wrong.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise SettingsError(f"{source}: not a readable table ({' '.join(str(error).split())})") from error
    return check_table(rows, source, name)


def check_table(rows: list[dict[str, Any]], source: str, name: str = "datasets") -> list[dict[str, Any]]:
    """The rows of a table (one dictionary of texts each), numbers as numbers, checked against its schema.

    An empty cell is as one that is not there. What is fetched has a checksum and a size; None where a row has none.
    """
    root, checked = load_schema(name), []
    numeric = {key for key, node in root["properties"].items() if node.get("type") == "integer"}
    for number, row in enumerate(rows, start=2):
        row = {
            key: int(text) if key in numeric and re.fullmatch("[0-9]{1,18}", str(text)) else text
            for key, text in row.items()
            if text not in (None, "")
        }
        row = check(row, root, root, (f"line {number}",), source)
        for key in ("sha256", "bytes"):
            if row.setdefault(key, None) is None and row["fetch"] != "manual":
                raise SettingsError(
                    f"{place((f'line {number}',), source)}: the key {key!r} is missing; only rows with `fetch` manual "
                    "may leave it out"
                )
        checked.append(row)
    return checked
