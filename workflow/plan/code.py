"""Which code decides the output of a script: the modules that it reaches by its imports, and one hash of them.

Snakemake follows the text of a script and not of what it imports. Every rule gets the hash as a parameter, so that a
job runs again when, and only when, a module that its script reaches has changed. The hash covers syntax trees: a
comment, a docstring or a line break changes nothing.

A module counts if something of it is used: a name that the script imports and uses, and whatever the definition of that
name uses in turn, imports inside functions included. Importing a module runs its head (all statements that are no
definitions), so what the head uses counts too. A module that calls `discover` (skyscore.config.registry) reaches all
modules in its folder and below.

The settings of a simulator or of a kind of problem count with the module beside them: their defaults decide numbers.

A module counts as a whole: a change of a function that the script does not call changes the hash if the script uses
another function of the same module.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from skyscore.config.kinds import read_yaml

from .syntax import Part, Source

__all__ = ["Library", "Reached"]

Name = tuple[str, str | None]  # a module and what is used of it: a name, "" for its head alone, None for all
OURS = ("skyscore", "scripts")
DISCOVER = ("skyscore.config.registry", "discover")


class Reached:
    """What a script reaches.

    Attributes:
        modules: modules of the library of which something is used.
        imported: those, and modules of the library that are imported without any use of them.
        packages: top-level names of third-party packages that are imported on the way.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.imported: set[str] = set()
        self.packages: set[str] = set()


class Library:
    """Creates a scanner of the library below a folder; each file is read once.

    Arguments:
        source: folder that holds the package, `src`.
    """

    def __init__(self, source: Path):
        self.source = source
        self.sources: dict[str, Source] = {}
        self.steps: dict[Name, tuple[set[Name], set[str]]] = {}

    def version(self, script: str) -> str:
        """Hash of a script `<folder>/<name>` below `src/scripts` and of every module that it reaches."""
        path = self.source / "scripts" / f"{script}.py"
        modules = sorted({self.dotted(path), *self.reached(path).modules})
        parts = [self.read(name).hash + self.settings(name) for name in modules]
        return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]

    def reached(self, script: Path) -> Reached:
        """Modules and packages that a script needs."""
        return self.reached_from(self.dotted(script))

    def reached_from(self, module: str, used: str | None = None) -> Reached:
        """Modules and packages that a name of a module needs; all of its names by default."""
        found, todo, seen = Reached(), [(module, used)], set()
        while todo:
            name = todo.pop()
            if name in seen:
                continue
            seen.add(name)
            further, packages = self.step(name)
            found.packages |= packages
            found.imported.add(name[0])
            # a module counts by what others use of it: its own head, which every import runs, is no use
            others = {other for other, what in further if what != "" and other != name[0]}
            found.modules |= {other for other in others if self.path(other)}
            todo += further - seen
        return found

    # ------------------------------------------------------------------ one module

    @cache  # noqa: B019 (one library lives as long as its run)
    def path(self, name: str) -> Path | None:
        """File of a module of the library, None for a module that is not ours."""
        if name.split(".")[0] not in OURS:
            return None
        base = self.source / Path(*name.split("."))
        return next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.exists()), None)

    def dotted(self, path: Path) -> str:
        return ".".join(path.relative_to(self.source).with_suffix("").parts)

    def read(self, name: str) -> Source:
        """The module of this name."""
        if name not in self.sources:
            path = self.path(name)
            assert path is not None, f"{name} is no module of the library"
            self.sources[name] = Source(path, name)
        return self.sources[name]

    def settings(self, name: str) -> str:
        """The settings in the YAML files beside a module (skyscore.config.kinds) as text."""
        path = self.read(name).path
        files = (path.with_suffix(".yaml"), path.with_name("settings.yaml"))
        return "".join(self.described(file) for file in files)

    @cache  # noqa: B019
    def described(self, file: Path) -> str:
        """The content of a YAML file of settings without their descriptions; empty if there is no such file."""
        return json.dumps(undescribed(read_yaml(file)), sort_keys=True) if file.exists() else ""

    def step(self, name: Name) -> tuple[set[Name], set[str]]:
        """What one name of a module refers to directly: names of modules of the library, and packages."""
        if name not in self.steps:
            self.steps[name] = self.references(*name) if self.path(name[0]) else (set(), set())
        return self.steps[name]

    def references(self, module: str, used: str | None) -> tuple[set[Name], set[str]]:
        source = self.read(module)
        known, found, packages = self.bound(source.head)
        if used == "":
            found |= self.uses(module, source.head, known)
            if DISCOVER in found:
                names = {self.dotted(path) for path in source.path.parent.rglob("[!_]*.py")}
                found |= {(other, None) for other in names if other != module}
            parent = module.rpartition(".")[0]
            return found | {(parent, "")}, packages  # importing a module runs the __init__ of its package
        if used is None:
            everything = {(module, definition) for definition in source.definitions}
            return everything.union(*known.values(), {(module, "")}), set()
        if used in source.definitions:
            part = source.definitions[used]
            own, found, packages = self.bound(part)
            both = {key: known.get(key, set()) | own.get(key, set()) for key in {*known, *own}}
            return found | self.uses(module, part, both) | {(module, "")}, packages
        if used in known or used in source.head.names:  # handed on from another module, or a constant
            return known.get(used, set()) | {(module, "")}, set()
        whole = f"{module}.{used}"
        if self.path(whole):  # a module of a package, reached as its attribute
            return {(whole, None), (module, "")}, set()
        if "__getattr__" in source.definitions:  # a name that is imported when it is first asked for
            return {(module, "__getattr__"), (module, "")}, set()
        return {(module, "")}, set()

    def bound(self, part: Part) -> tuple[dict[str, set[Name]], set[Name], set[str]]:
        """What each name that a part imports stands for, the heads that the imports run, and packages."""
        known: dict[str, set[Name]] = {}
        found: set[Name] = set()
        packages: set[str] = set()
        for base, name, alias in part.imports:
            root = base.split(".")[0]
            if root not in OURS:
                if root not in sys.stdlib_module_names:
                    packages.add(root)
                continue
            if name is None:
                found.add((base, None))
                continue
            whole = f"{base}.{name}"
            target = (whole, "") if self.path(whole) else (base, name)
            found.add((target[0], ""))
            known.setdefault(alias, set()).add(target)
        return known, found, packages

    def uses(self, module: str, part: Part, known: dict[str, set[Name]]) -> set[Name]:
        """Names of the library that the statements of a part use."""
        found: set[Name] = set()
        for name in part.names:  # a module that is handed on as a value: anything of it may be used
            found |= {(other, None if what == "" else what) for other, what in known.get(name, ())}
        for name, attribute in part.members:
            found |= {(other, attribute if what == "" else what) for other, what in known.get(name, ())}
        definitions = self.read(module).definitions
        used = part.names | {name for name, _ in part.members}
        return found | {(module, name) for name in used if name in definitions}


def undescribed(node: Any) -> Any:
    """A schema without the keywords `description` and `unit`, which decide nothing."""
    if isinstance(node, list):
        return [undescribed(item) for item in node]
    if not isinstance(node, dict):
        return node
    said = {key for key in ("description", "unit") if isinstance(node.get(key), str)}
    return {key: undescribed(item) for key, item in node.items() if key not in said}
