"""Every message that ends a job because of an input that cannot be used: docs/reference/messages.md.

They are read from the source text, so that the list is complete.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["THEMES", "listed", "template"]

ROOT = Path(__file__).resolve().parents[2]
RAISED = ("InputError", "MissingFiles")
THEMES = {  # heading by the place in the tree where a message is raised; the first place that fits
    "src/skyscore/io/download.py": "Downloads",
    "src/skyscore/io/": "Files",
    "src/skyscore/sky/": "Sky coordinates and frames",
    "src/skyscore/problems/lens/": "Lens images",
    "src/skyscore/problems/hst/": "Images to deconvolve",
    "src/skyscore/problems/kappa/": "Shear catalogues and maps",
    "src/skyscore/problems/radio/": "Visibilities",
    "src/skyscore/problems/": "Any observation",
    "src/skyscore/priors/": "Priors and their weights",
    "src/skyscore/simulate/": "Training sets",
    "src/skyscore/baselines/": "Classical baselines",
    "src/skyscore/": "Other parts of the library",
    "src/scripts/": "Jobs of the workflow",
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
        case ast.Subscript(value=ast.Name(id=("s" | "settings")), slice=ast.Name()):
            return "setting"
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
    """Templates of the messages that a module raises about an input."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            name = ast.unparse(node.exc.func).rpartition(".")[2]
            text = template(node.exc.args[0])
            if name in RAISED and re.sub("<.*?>", "", text).strip(" :;"):  # more than another error's text
                yield " ".join(text.split())


def theme(path: Path) -> str:
    """The heading under which the messages of a module are listed."""
    name = path.relative_to(ROOT).as_posix()
    return next(heading for start, heading in THEMES.items() if name.startswith(start))


def code(text: str) -> str:
    """A code span, also of text that holds backticks."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def listed() -> str:
    """All messages as Markdown, by theme."""
    found: dict[str, list[str]] = {heading: [] for heading in THEMES.values()}
    for path in sorted((ROOT / "src").rglob("*.py")):
        if texts := sorted(set(raised(path))):
            own = found[theme(path)]
            own += [text for text in texts if text not in own]
    parts = [
        f"## {heading}\n\n" + "\n".join(f"* {code(text)}" for text in texts)
        for heading, texts in found.items()
        if texts
    ]
    return "\n\n".join(parts)
