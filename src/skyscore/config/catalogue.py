"""What the code offers to a configuration: samplers with their options, kinds of problems and of training sets.

Problems and training sets describe themselves in YAML files (:mod:`skyscore.config.kinds`). The options of a sampler
are the arguments of its class. They are read from the syntax tree of the source, because importing it would load torch,
which takes seconds in every dry run.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from .kinds import dataset_kinds, problem_files, problem_kinds
from .messages import SettingsError
from .registry import modules

__all__ = ["dataset_kinds", "problem_files", "problem_kinds", "sampler_options"]

FOLDER = Path(str(files("skyscore"))) / "samplers"
BASE = "Sampler"
TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string", "None": "null"}


class Module(NamedTuple):
    """Classes of a module by name, its constants, and names that it imports under another name."""

    path: Path
    classes: dict[str, ast.ClassDef]
    constants: dict[str, ast.expr]
    aliases: dict[str, str]


class Found(NamedTuple):
    """A class and its module."""

    node: ast.ClassDef
    module: Module


def parsed(path: Path) -> Module:
    try:
        body = ast.parse(path.read_text(encoding="utf-8")).body
    except SyntaxError as error:
        raise SettingsError(f"{path}: line {error.lineno}: {error.msg}; correct the sampler") from error
    imports = [alias for node in body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return Module(
        path,
        {node.name: node for node in body if isinstance(node, ast.ClassDef)},
        assignments(body),
        {alias.asname: alias.name for alias in imports if alias.asname},
    )


def assignments(body: list[ast.stmt]) -> dict[str, ast.expr]:
    """The right-hand sides of `name = ...` and `name: type = ...` among statements."""
    found: dict[str, ast.expr] = {}
    for line in body:
        if isinstance(line, ast.Assign | ast.AnnAssign) and line.value:
            targets = [line.target] if isinstance(line, ast.AnnAssign) else line.targets
            found |= {target.id: line.value for target in targets if isinstance(target, ast.Name)}
    return found


def constant(value: ast.expr | None, module: Module) -> Any:
    """Value of a literal or of a constant of the module; None if it is neither."""
    if isinstance(value, ast.Name):
        value = module.constants.get(value.id)
    try:
        return ast.literal_eval(value) if value is not None else None
    except (ValueError, TypeError):
        return None


class Library:
    """Creates the view of all classes below the folder of the samplers."""

    def __init__(self) -> None:
        self.found = [parsed(path) for _, path in modules(FOLDER)]
        self.everywhere = {name: Found(node, m) for m in self.found for name, node in m.classes.items()}

    def bases(self, one: Found) -> list[Found]:
        """Base classes that are defined below the folder, those of the same module first."""
        named = [base.attr if isinstance(base, ast.Attribute) else base.id for base in one.node.bases
                 if isinstance(base, (ast.Attribute, ast.Name))]  # fmt: skip
        own = {name: Found(node, one.module) for name, node in one.module.classes.items()}
        known = self.everywhere | own
        return [known[name] for name in (one.module.aliases.get(n, n) for n in named) if name in known]

    def is_sampler(self, one: Found) -> bool:
        return one.node.name == BASE or any(self.is_sampler(base) for base in self.bases(one))

    def samplers(self) -> dict[str, Found]:
        """Samplers by name: the classes in the folders of the families that set `name`.

        Raises:
            SettingsError: two of the same name.
        """
        found: dict[str, Found] = {}
        families = {path for _, path in modules(FOLDER, loose=False)}
        for module in (m for m in self.found if m.path in families):
            for node in module.classes.values():
                name = constant(assignments(node.body).get("name"), module)
                if not (isinstance(name, str) and name and self.is_sampler(Found(node, module))):
                    continue
                if name in found:
                    raise SettingsError(
                        f"{module.path}: the sampler {name!r} is also in {found[name].module.path}; rename one of them"
                    )
                found[name] = Found(node, module)
        return found

    def options(self, one: Found) -> dict[str, dict[str, Any]]:
        """Keyword arguments of a class and, if it passes `**options` on, those of its bases."""
        init = next(
            (f for f in one.node.body if isinstance(f, ast.FunctionDef) and f.name == "__init__"), None
        )
        found: dict[str, dict[str, Any]] = {}
        if init is None or init.args.kwarg is not None:
            for base in self.bases(one):
                found |= self.options(base)
        if init is None:
            return found
        texts, positional = described_arguments(one.node), init.args.args[1:]
        pairs: list[tuple[ast.arg, ast.expr | None]] = []
        pairs += list(zip(positional[::-1], init.args.defaults[::-1], strict=False))[::-1]
        pairs += zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)
        for argument, default in pairs:
            about = {"default": constant(default, one.module), "description": texts.get(argument.arg, "")}
            types = json_types(argument.annotation)
            found[argument.arg] = about | ({"type": types} if types else {})
        return found


def json_types(annotation: ast.expr | None) -> list[str]:
    """JSON types of an annotation such as `float | None`; empty if one of them has no counterpart."""
    words = ast.unparse(annotation).split(" | ") if annotation is not None else []
    types = [TYPES.get(word) for word in words]
    return [name for name in types if name] if all(types) else []


def described_arguments(node: ast.ClassDef) -> dict[str, str]:
    """The text of each argument in the "Arguments:" part of a class's docstring."""
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


@cache
def sampler_options() -> dict[str, dict[str, dict[str, Any]]]:
    """{sampler: {option: {type, default, description}}}. Every call returns the same objects: do not change them.

    Raises:
        SettingsError: the source of a sampler cannot be read, or two samplers have the same name.
    """
    library = Library()
    return {name: library.options(one) for name, one in library.samplers().items()}
