"""Every message that ends a job on an input it cannot use, listed in docs/troubleshooting.md: `make docs` writes it.

They are read from the source text, so that the list is complete; a test fails when it is stale.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["listed", "marked", "template"]

SOURCE = Path(__file__).resolve().parents[1]
RAISED = ("InputError", "MissingFiles")
BEGIN, END = "<!-- messages: made by `make docs` -->", "<!-- end of messages -->"
THEMES = {  # by where in src/ they are raised; the first that fits
    "src/skyscore/io/download.py": "Downloads",
    "skyscore/io/": "Files",
    "skyscore/problems/lens": "Lenses",
    "skyscore/problems/hst": "HST",
    "skyscore/problems/kappa": "Convergence",
    "skyscore/problems/": "Radio",
    "skyscore/priors/": "Priors and their weights",
    "skyscore/simulate/": "Training sets",
    "": "Jobs",
}


def template(node: ast.expr) -> str:
    """The text of a string expression, with <name> where a value is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(map(template, parts))
        case ast.FormattedValue(value=value):
            return f"<{filled_with(value)}>"
    return ""


def filled_with(value: ast.expr) -> str:
    """A word for what a placeholder is filled with."""
    match value:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=ast.Name(id=("files" | "name"))):
            return "file"
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Call(func=ast.Name(id="remedy")):
            return "remedy"
        case ast.Subscript(value=inside) | ast.Call(args=[inside, *_]):
            return filled_with(inside)
        case ast.Call(func=ast.Attribute(value=inside)):
            return filled_with(inside)
    return "value"


def raised(path: Path) -> Iterator[str]:
    """Templates of what a module raises on an input."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            text = template(node.exc.args[0])
            if name in RAISED and re.sub("<.*?>", "", text).strip(" :;"):  # more than what another error said
                yield " ".join(text.split())


def code(text: str) -> str:
    """A code span, also of text that holds backticks."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def listed() -> str:
    """The messages as Markdown, by theme."""
    found: dict[str, list[str]] = {theme: [] for theme in THEMES.values()}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        theme = next(theme for start, theme in THEMES.items() if name.startswith(start))
        found[theme] += sorted(set(raised(path)) - set(found[theme]))
    parts = [
        f"**{theme}**\n\n" + "\n".join(f"* {code(text)}" for text in texts)
        for theme, texts in found.items()
        if texts
    ]
    return "\n\n".join(parts)


def marked(text: str, content: str, begin: str, end: str) -> str:
    """The text with `content` in place of what stands between two marks.

    Raises:
        ValueError: the marks are not there.
    """
    head, first, rest = text.partition(begin)
    _, last, tail = rest.partition(end)
    if not (first and last):
        raise ValueError(f"no {begin} ... {end} to write between")
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"
