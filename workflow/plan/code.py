"""Which code decides the output of a script: the modules it reaches by its imports, and one hash of them.

Snakemake follows the text of a script and not of what it imports. The hash of this module is passed to every rule as a
parameter, so that a job runs again when, and only when, a module that its script reaches has changed. It is that of the
syntax trees without docstrings: a comment, a docstring or a line break changes nothing.

Imports are followed as far as the imported names are used. A function of a module counts only if it is reached,
and late imports inside a function count with it. What stands at the head of a module always counts. A package whose `__init__`
finds its modules by itself (`discover`) reaches all of them.
"""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["Library", "Reached"]

Name = tuple[str, str | None]  # a module and what is used of it: a name, "" for its head alone, None for all
PACKAGE = "skyscore"


class Reached:
    """What a script reaches.

    Attributes:
        modules: names of modules of the library of which more than the head is used.
        packages: top-level names of third-party packages that are imported on the way.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.packages: set[str] = set()


class Library:
    """Creates a scanner of the library below a folder; each module is read once.

    Arguments:
        source: folder that holds the package, `src`.
    """

    def __init__(self, source: Path):
        self.source = source
        self.steps: dict[Name, tuple[set[Name], set[str]]] = {}
        self.hashes: dict[Path, str] = {}

    def version(self, script: str) -> str:
        """Hash of a script `<folder>/<name>` below `src/scripts` and of every module that it reaches."""
        path = self.source / "scripts" / f"{script}.py"
        files = [path, *(self.path(name) for name in sorted(self.reached(path).modules))]
        return hashlib.sha256("".join(self.hash(file) for file in files).encode()).hexdigest()[:16]

    def reached(self, script: Path) -> Reached:
        """Modules and packages that a script needs."""
        return self.closure(*self.tree(parsed(script), "script", package=False, used=None))

    def reached_from(self, module: str, used: str | None = None) -> Reached:
        """Modules and packages that a name of a module needs; all of its names by default."""
        return self.closure({(module, used)}, set())

    def closure(self, start: set[Name], packages: set[str]) -> Reached:
        found, todo, seen = Reached(), set(start), set()
        found.packages |= packages
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            more, needed = self.step(name)
            found.packages |= needed
            if name[1] != "" and self.path(name[0]):
                found.modules.add(name[0])
            todo |= more
        return found

    # ------------------------------------------------------------------ one module

    @cache  # noqa: B019 (one library lives as long as its run)
    def path(self, name: str) -> Path | None:
        """File of a module of the library, None for a module that is not ours."""
        if name.split(".")[0] != PACKAGE:
            return None
        base = self.source / Path(*name.split("."))
        return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)

    def hash(self, path: Path) -> str:
        """Hash of the syntax of a file without its docstrings."""
        if path not in self.hashes:
            self.hashes[path] = hashlib.sha256(bare(parsed(path)).encode()).hexdigest()
        return self.hashes[path]

    def step(self, name: Name) -> tuple[set[Name], set[str]]:
        """What one name of a module refers to directly: names of the library, and packages."""
        if name not in self.steps:
            module, used = name
            path = self.path(module)
            if path is None:
                return set(), set()
            self.steps[name] = (set(), set())  # of a circle
            package = path.name == "__init__.py"
            more, packages = self.tree(parsed(path), module, package, used)
            parent = module.rpartition(".")[0]
            if parent:
                more.add((parent, ""))  # importing a module runs its package's __init__
            if discovers(path):
                folders = path.parent.rglob("[!_]*.py")
                more |= {(self.dotted(other), None) for other in folders if other != path}
            self.steps[name] = (more, packages)
        return self.steps[name]

    def dotted(self, path: Path) -> str:
        return ".".join(path.relative_to(self.source).with_suffix("").parts)

    def tree(
        self, tree: ast.Module, name: str, package: bool, used: str | None
    ) -> tuple[set[Name], set[str]]:
        """References of a module's head and of the definitions that are used, those they refer to included."""
        found: tuple[set[Name], set[str]] = (set(), set())
        definitions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        head = [node for node in tree.body if node not in definitions.values()]
        handed_on = self.nodes(head, name, package, None, found)
        wanted = set(definitions) if used is None else {used} & set(definitions)
        # what the module's own statements call, such as a registry built from classes
        wanted |= names_in(head) & set(definitions)
        for one in handed_on if used is None else [used]:  # names that are re-exported from another module
            found[0].update(handed_on.get(one, ()))
        done: set[str] = set()
        while wanted - done:
            key = (wanted - done).pop()
            done.add(key)
            self.nodes([definitions[key]], name, package, handed_on, found)
            wanted |= names_in([definitions[key]]) & set(definitions)
        return found

    def nodes(
        self,
        nodes: list[ast.stmt],
        name: str,
        package: bool,
        outer: dict[str, list[Name]] | None,
        found: tuple[set[Name], set[str]],
    ) -> dict[str, list[Name]]:
        """Adds the imports in the statements, as far as their names are used there; returns what each name is."""
        bound = {key: list(value) for key, value in (outer or {}).items()}
        every = [node for top in nodes for node in walked(top)]
        for node in every:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.imported(alias.name, None, found)
            elif isinstance(node, ast.ImportFrom):
                base = absolute(node, name, package)
                for alias in node.names:
                    whole = f"{base}.{alias.name}"
                    target = (whole, "") if self.path(whole) else (base, alias.name)
                    self.imported(target[0], "" if outer is None else target[1], found)
                    bound.setdefault(alias.asname or alias.name, []).append(target)
        for node in every:
            if isinstance(node, ast.Name):
                found[0].update(bound.get(node.id, ()))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                found[0].update((m, node.attr) for m, what in bound.get(node.value.id, ()) if what == "")
        return bound

    def imported(self, module: str, used: str | None, found: tuple[set[Name], set[str]]) -> None:
        root = module.split(".")[0]
        if root == PACKAGE:
            found[0].add((module, used))
        elif root not in sys.stdlib_module_names:
            found[1].add(root)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def discovers(path: Path) -> bool:
    """Does a module import all that lies in its folder?"""
    return bool(re.search(r"\bdiscover\(", path.read_text(encoding="utf-8"))) and "def discover" not in (
        path.read_text(encoding="utf-8")
    )


def bare(tree: ast.Module) -> str:
    """The syntax of a module without docstrings; comments and line breaks are not in a syntax tree."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and body:
            first = body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


def absolute(node: ast.ImportFrom, name: str, package: bool) -> str:
    """The module of a `from ... import` in the module `name`."""
    base = node.module or ""
    if not node.level:
        return base
    parts = name.split(".") if package else name.split(".")[:-1]
    parts = parts[: len(parts) - (node.level - 1)]
    return ".".join([*parts, base] if base else parts)


def names_in(nodes: list) -> set[str]:
    return {node.id for top in nodes for node in ast.walk(top) if isinstance(node, ast.Name)}


def walked(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, without what only a type checker reads."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walked(child)
