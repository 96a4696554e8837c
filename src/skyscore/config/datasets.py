"""The table of files, config/datasets.tsv: read and checked."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from .check import checked
from .messages import SettingsError, place
from .schema import load_schema

__all__ = ["check_table", "read_table"]


def read_table(path: str | Path, source: str, name: str = "datasets") -> list[dict[str, Any]]:
    """The checked rows of a tab-separated file, see `check_table`.

    Arguments:
        source: name of the file in messages.
        name: name of the schema.

    Raises:
        SettingsError: no such file, no table, or a wrong row.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, csv.Error, UnicodeDecodeError) as error:
        raise SettingsError(f"{source}: not a readable table ({' '.join(str(error).split())})") from error
    return check_table(rows, source, name)


def check_table(rows: list[dict[str, Any]], source: str, name: str = "datasets") -> list[dict[str, Any]]:
    """The rows of a table (one dictionary of texts each), checked against its schema, with numbers as numbers.

    An empty cell counts as missing. Files that a job fetches must have a checksum and a size. In other rows these may
    be None.

    Raises:
        SettingsError: a wrong row.
    """
    schema, table = load_schema(name), []
    numeric = {key for key, node in schema["properties"].items() if node.get("type") == "integer"}
    for number, row in enumerate(rows, start=2):
        keys = (f"line {number}",)
        row = {
            key: int(text) if key in numeric and re.fullmatch("[0-9]{1,18}", str(text)) else text
            for key, text in row.items()
            if text not in (None, "")
        }
        row = checked(row, schema, source, keys)
        for key in ("sha256", "bytes"):
            if row.setdefault(key, None) is None and row["fetch"] != "manual":
                raise SettingsError(
                    f"{place(keys, source)}: the key {key!r} is missing; only rows with `fetch` manual may leave it out"
                )
        table.append(row)
    return table
