"""Writes figures with their provenance in the metadata of the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from skyscore import provenance as origin

from .files import atomic
from .records import plain


def write_figure(
    paths: Sequence[str | Path], figure: Any, source: Mapping | None = None, dpi: int = 150
) -> None:
    """Saves a matplotlib figure under each path (.pdf, .png), atomically.

    The provenance is stored in the metadata of each file.
    """
    text = json.dumps(plain(source or origin.provenance()))
    for path in map(Path, paths):
        key = "Keywords" if path.suffix == ".pdf" else "Description"
        metadata = {key: text, "Title": path.stem}
        with atomic(path) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=metadata, bbox_inches="tight")
