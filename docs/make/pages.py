"""The pages of the documentation, and how their made parts are written again.

A page has two kinds of made parts, and all else in it is written by hand:

* a block between `[[[cog ... ]]]` and `[[[end]]]` (in HTML comments) is what the Python code in it prints. The code is
  run by cogapp, and calls one function of this folder;
* a number between two comments is filled in from a recorded run (:mod:`docs.make.numbers`).

The result stays in git, so that a page is complete wherever it is read. A test fails if a page differs from what its
code and records make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from cogapp import Cog

from . import numbers

__all__ = ["ROOT", "made", "pages", "write"]

ROOT = Path(__file__).resolve().parents[2]
CODE = re.compile(r"\[\[\[cog(.*?)\]\]\]", re.DOTALL)


def pages(root: Path = ROOT) -> list[Path]:
    """README.md and every page below docs/, sorted."""
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def made(path: Path, known: Mapping[str, Mapping[str, float]] | None = None) -> str:
    """The text of a page with its made parts as they should be.

    Arguments:
        path: the page.
        known: records by name; those of the repository by default.

    Raises:
        KeyError: for a number that no record holds.
    """
    text = path.read_text(encoding="utf-8")
    if CODE.search(text):
        text = Cog().process_string(text, str(path))
    return numbers.filled(text, numbers.records() if known is None else known)


def write(root: Path = ROOT) -> list[str]:
    """Writes every page again; the names of those that changed, from the root."""
    known, changed = numbers.records(root), []
    for path in pages(root):
        text = made(path, known)
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8")
            changed.append(path.relative_to(root).as_posix())
    return changed
