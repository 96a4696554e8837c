"""What one Python file refers to, part by part, and a hash of its syntax; both from one walk over its syntax tree.

The hash covers the syntax tree without docstrings, comments and line breaks. Empty fields are left out, so that it is
the same under every version of Python that parses the file to the same tree.
"""

from __future__ import annotations

import ast
import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Part", "Source"]


@dataclass
class Part:
    """What some statements of a file refer to.

    Attributes:
        imports: (module, name or None, name under which it is known here); None where a whole module is imported.
        names: names that are used by themselves.
        members: (name, attribute) of every `name.attribute`.
    """

    imports: list[tuple[str, str | None, str]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    members: set[tuple[str, str]] = field(default_factory=set)


class Source:
    """Reads a file of Python.

    Arguments:
        path: the file.
        name: of its module, to which relative imports are relative.

    Attributes:
        head: all statements that are no definition of a function or a class.
        definitions: a part for each function and each class of the module.
        hash: of the syntax.
    """

    def __init__(self, path: Path, name: str):
        self.path = path
        self.package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        self.head = Part()
        self.definitions: dict[str, Part] = {}
        text: list[str] = []
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            part = self.head
            if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                part = self.definitions.setdefault(statement.name, Part())
            self.walk(statement, text, part)
        self.hash = hashlib.sha256("\n".join(text).encode()).hexdigest()

    def walk(self, node: Any, text: list[str], part: Part) -> None:
        """Appends the syntax of a node and of all below it to `text`, and what they refer to to `part`."""
        kind = node.__class__
        if kind is ast.Attribute and node.value.__class__ is ast.Name:
            part.members.add((node.value.id, node.attr))
        elif kind is ast.Name:
            part.names.add(node.id)
        elif kind is ast.Import:
            part.imports += [(alias.name, None, alias.asname or alias.name) for alias in node.names]
        elif kind is ast.ImportFrom:
            base = self.absolute(node)
            part.imports += [(base, alias.name, alias.asname or alias.name) for alias in node.names]
        elif kind is ast.If and ast.unparse(node.test).endswith("TYPE_CHECKING") and not node.orelse:
            part = Part()  # only a type checker reads it
        elif kind is ast.Expr and node.value.__class__ is ast.Constant and isinstance(node.value.value, str):
            return  # a docstring
        text.append(kind.__name__)
        below = Part() if kind is ast.Attribute and node.value.__class__ is ast.Name else part
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.expr_context):  # load or store: the place says which
                continue
            if isinstance(value, ast.AST):
                text.append(name)
                self.walk(value, text, below)
            elif isinstance(value, list):
                if value:
                    text.append(f"{name}[")
                    for item in value:
                        if isinstance(item, ast.AST):
                            self.walk(item, text, below)
                        else:
                            text.append(repr(item))
                    text.append("]")
            elif value is not None:
                text.append(f"{name}={value!r}")

    def absolute(self, node: ast.ImportFrom) -> str:
        """The module of a `from ... import ...`."""
        base = node.module or ""
        if not node.level:
            return base
        parts = self.package.split(".")
        parts = parts[: len(parts) - (node.level - 1)]
        return ".".join([*parts, base] if base else parts)
