"""What the code offers to a configuration: samplers with their options, kinds of problems and of data sets.

It is read from the text of the module that implements it (a sampler's name and the arguments of its `__init__`; the
`kind` and the `SETTINGS` of a problem or a simulator, and the `FILES` that a problem reads), without importing it, so
that a new one is one module and one block of the configuration, and a dry run needs no torch.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["dataset_kinds", "problem_files", "problem_kinds", "sampler_options"]

PACKAGE = Path(__file__).resolve().parents[1]


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def classes(folder: str) -> Iterator[tuple[ast.ClassDef, Path]]:
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        for node in syntax(path).body:
            if isinstance(node, ast.ClassDef):
                yield node, path


def assigned(body: list[ast.stmt], name: str) -> ast.expr | None:
    """The right-hand side of `name = ...` or `name: type = ...` among statements."""
    for line in body:
        targets = [line.target] if isinstance(line, ast.AnnAssign) else getattr(line, "targets", [])
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            return line.value
    return None


class Named(ast.NodeTransformer):
    """Replaces the names of a module's constants by their values, also where `**` puts one into a dictionary."""

    def __init__(self, body: list[ast.stmt]):
        self.body = body

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = assigned(self.body, node.id)
        return node if value is None else self.visit(copy.deepcopy(value))

    def visit_Dict(self, node: ast.Dict) -> ast.expr:
        self.generic_visit(node)
        keys, values = [], []
        for key, value in zip(node.keys, node.values, strict=True):
            spliced = key is None and isinstance(value, ast.Dict)
            keys += value.keys if spliced else [key]
            values += value.values if spliced else [value]
        return ast.Dict(keys, values)


def constant(node: ast.ClassDef, name: str, path: Path) -> Any:
    """Value of a literal class attribute (constants of its module may stand in it), None if there is none."""
    value = assigned(node.body, name)
    if value is None:
        return None
    try:
        return ast.literal_eval(Named(syntax(path).body).visit(copy.deepcopy(value)))
    except (ValueError, TypeError, RecursionError):
        return None


def described_arguments(node: ast.ClassDef) -> dict[str, str]:
    """What the "Arguments:" part of a class's docstring says of each argument."""
    texts: dict[str, str] = {}
    names: list[str] = []
    _, _, part = (ast.get_docstring(node) or "").partition("Arguments:\n")
    for line in part.splitlines():
        if line and not line.startswith(" "):
            break
        start = re.match(r" {4}(\w+(?:, \w+)*): (.+)", line)
        if start:
            names = start[1].split(", ")
            texts |= dict.fromkeys(names, start[2])
        elif line.startswith("     "):
            texts |= {name: f"{texts[name]} {line.strip()}" for name in names}
        else:
            names = []
    return texts


def arguments(node: ast.ClassDef, known: Mapping[str, ast.ClassDef]) -> dict[str, dict[str, Any]]:
    """Keyword arguments of a class and, if it passes `**options` on, of its bases: {name: {default, description}}."""
    init = next(
        (item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"), None
    )
    found: dict[str, dict[str, Any]] = {}
    if init is None or init.args.kwarg is not None:
        for base in node.bases:
            if isinstance(base, ast.Name) and base.id in known:
                found |= arguments(known[base.id], known)
    if init is not None:
        texts, positional = described_arguments(node), init.args.args[1:]
        pairs = list(zip(positional[::-1], init.args.defaults[::-1], strict=False))[::-1]
        pairs += zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        for arg, value in pairs:
            default = (
                ast.literal_eval(value) if isinstance(value, (ast.Constant, ast.UnaryOp, ast.Tuple)) else None
            )
            found[arg.arg] = {"default": default, "description": texts.get(arg.arg, "")}
    return found


def sampler_options() -> dict[str, dict[str, dict[str, Any]]]:
    """{sampler: {option: {default, description}}}, read from skyscore/samplers."""
    found = list(classes("samplers"))
    known = {node.name: node for node, _ in found}
    named = ((constant(node, "name", path), node) for node, path in found)
    return {name: arguments(node, known) for name, node in named if isinstance(name, str) and name}


def kinds(folder: str, attribute: str = "SETTINGS") -> dict[str, dict[str, Any]]:
    """{kind: an attribute, such as the JSON schema of its settings} of the classes in a folder that have a `kind`."""
    found = ((constant(node, "kind", path), node, path) for node, path in classes(folder))
    return {
        kind: constant(node, attribute, path) or {}
        for kind, node, path in found
        if isinstance(kind, str) and kind and any(isinstance(base, ast.Name) for base in node.bases)
    }


def problem_kinds() -> dict[str, dict[str, Any]]:
    """Kinds of problems, read from skyscore/problems."""
    return kinds("problems")


def problem_files() -> dict[str, dict[str, str]]:
    """{kind: {role: what the file holds}} of the files that problems read, from skyscore/problems."""
    return kinds("problems", "FILES")


def dataset_kinds() -> dict[str, dict[str, Any]]:
    """Kinds of training sets, read from skyscore/simulate."""
    return kinds("simulate")
