"""The configuration: checked against its schema, completed with defaults, described in config/README.md.

The schema (workflow/schemas/config.schema.yaml) gives every key a description, a unit and a default and allows no other
key. What belongs to one sampler or one kind of problem is not written there: it is read from the module that implements
it (a sampler's name and the arguments of its `__init__`; a problem's `kind` and its `SETTINGS`), without importing it,
so that a new sampler or problem is one module and one block of the configuration, and a dry run needs no torch.
"""

from __future__ import annotations

import ast
import copy
import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

__all__ = [
    "SettingsError",
    "check_config",
    "check_table",
    "decisive",
    "described",
    "problem_kinds",
    "sampler_options",
]

PACKAGE = Path(__file__).resolve().parent
SCHEMAS = PACKAGE.parents[1] / "workflow" / "schemas"
# where the results go and where the bytes of a download come from decide no number
INCIDENTAL = ("pathvars", "mirror", "target")


class SettingsError(ValueError):
    """A setting is wrong. The message is one line: where, what is wrong, what to do."""


def decisive(config: Mapping) -> dict[str, Any]:
    """The part of a configuration that decides numbers: what the hash in every result's provenance covers."""
    return {key: value for key, value in config.items() if key not in INCIDENTAL}


# ---------------------------------------------------------------------------------------------- what the code offers


@cache
def syntax(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def classes(folder: str) -> Iterator[tuple[ast.ClassDef, Path]]:
    for path in sorted((PACKAGE / folder).glob("*.py")):
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
    """Replaces the names of a module's constants by their values."""

    def __init__(self, body: list[ast.stmt]):
        self.body = body

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = assigned(self.body, node.id)
        return node if value is None else self.visit(value)


def constant(node: ast.ClassDef, name: str, path: Path) -> Any:
    """Value of a literal class attribute (constants of its module may stand in it), None if there is none."""
    value = assigned(node.body, name)
    if value is None:
        return None
    try:
        return ast.literal_eval(Named(syntax(path).body).visit(copy.deepcopy(value)))
    except (ValueError, RecursionError):
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


def problem_kinds() -> dict[str, dict[str, Any]]:
    """{kind: JSON schema of its settings}, read from skyscore/problems (class attributes `kind` and `SETTINGS`)."""
    found = ((constant(node, "kind", path), node, path) for node, path in classes("problems"))
    return {
        kind: constant(node, "SETTINGS", path) or {}
        for kind, node, path in found
        if isinstance(kind, str) and kind and any(isinstance(base, ast.Name) for base in node.bases)
    }


# ---------------------------------------------------------------------------------------------- schema


@cache
def load_schema(name: str = "config") -> dict[str, Any]:
    return yaml.safe_load((SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"))


def resolved(node: Mapping, root: Mapping) -> dict[str, Any]:
    """A schema node with its local `$ref` replaced by what it points to."""
    reference = node.get("$ref")
    if reference is None:
        return dict(node)
    target: Any = root
    for part in reference.removeprefix("#/").split("/"):
        target = target[part]
    return {**resolved(target, root), **{key: value for key, value in node.items() if key != "$ref"}}


def sampler_schema(base: Mapping, name: Any) -> dict[str, Any]:
    """Schema of one entry of `samplers`: the common keys and the options of the sampler it names."""
    options = sampler_options()
    if name not in options:
        return dict(base)
    extra = {key: {"description": about["description"]} for key, about in options[name].items()}
    return {**base, "properties": {**extra, **base["properties"]}}


def problem_schema(base: Mapping, kind: Any) -> dict[str, Any]:
    """Schema of one entry of `problems`: the common keys and the settings of its kind."""
    own = problem_kinds().get(kind, {})
    return {**base, "properties": {**base["properties"], **own.get("properties", {})}}


# ---------------------------------------------------------------------------------------------- checking


def nearest(word: str, words: Any) -> str:
    match = difflib.get_close_matches(str(word), [str(known) for known in words], n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


Path_ = tuple[str, ...]  # the keys that lead to a setting
Source = str | Callable[[Path_], str]

TYPES = {
    "object": Mapping,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def place(path: Path_, source: Source) -> str:
    """Where a setting is, for a message: "config/real.yaml: problems.lens.kind"."""
    name = source(path) if callable(source) else source
    return f"{name}: {'.'.join(path)}" if path else name


def has_type(value: Any, name: str) -> bool:
    if isinstance(value, bool) and name in ("integer", "number"):
        return False
    return isinstance(value, TYPES[name])


def check(value: Any, schema: Mapping, root: Mapping, path: Path_, source: Source) -> Any:
    """`value` completed with the schema's defaults; SettingsError at the first thing that is wrong."""
    schema = resolved(schema, root)
    where = place(path, source)
    allowed = schema.get("type")
    allowed = [allowed] if isinstance(allowed, str) else allowed
    if allowed and "boolean" in allowed and value in ("true", "false"):
        value = value == "true"  # `--config train=true` arrives as text
    if allowed and not any(has_type(value, name) for name in allowed):
        raise SettingsError(
            f"{where} is {value!r}, expected {' or '.join(allowed)}; {schema.get('description', '')}"
        )
    if "enum" in schema and value not in schema["enum"]:
        known = ", ".join(json.dumps(item) for item in schema["enum"])
        raise SettingsError(f"{where} is {value!r}, not one of {known}{nearest(value, schema['enum'])}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        raise SettingsError(
            f"{where} is {value!r}, expected a match of {schema['pattern']}; {schema['description']}"
        )
    if has_type(value, "number"):
        for key, fails, text in (
            ("minimum", lambda v, b: v < b, "at least"),
            ("maximum", lambda v, b: v > b, "at most"),
            ("exclusiveMinimum", lambda v, b: v <= b, "greater than"),
            ("exclusiveMaximum", lambda v, b: v >= b, "less than"),
        ):
            if key in schema and fails(value, schema[key]):
                raise SettingsError(
                    f"{where} is {value!r}, must be {text} {schema[key]}; {schema.get('description', '')}"
                )
    if isinstance(value, Mapping):
        return check_object(value, schema, root, path, source)
    if isinstance(value, list):
        return check_list(value, schema, root, path, source)
    return value


def check_object(
    value: Mapping, schema: Mapping, root: Mapping, path: Path_, source: Source
) -> dict[str, Any]:
    properties, extra = (
        schema.get("properties", {}),
        schema.get("additionalProperties", not schema.get("properties")),
    )
    complete: dict[str, Any] = {}
    for key, item in value.items():
        if key in properties:
            complete[key] = check(item, properties[key], root, (*path, str(key)), source)
        elif isinstance(extra, Mapping):
            if not re.fullmatch(schema.get("propertyNames", {}).get("pattern", ".*"), str(key)):
                raise SettingsError(
                    f"{place((*path, key), source)}: a name may hold lower-case letters and digits only"
                )
            item_schema = extra
            if path == ("samplers",) and isinstance(item, Mapping):
                item_schema = sampler_schema(resolved(extra, root), item.get("name"))
            elif path == ("problems",) and isinstance(item, Mapping):
                item_schema = problem_schema(resolved(extra, root), item.get("kind"))
            complete[key] = check(item, item_schema, root, (*path, str(key)), source)
        elif extra is True:
            complete[key] = item
        else:
            hint = nearest(key, properties) or f"; known keys: {', '.join(properties)}"
            raise SettingsError(f"{place((*path, str(key)), source)}: unknown key {key!r}{hint}")
    for key in schema.get("required", ()):
        if key not in value:
            about = resolved(properties.get(key, {}), root).get("description", "")
            raise SettingsError(f"{place(path, source)}: the key {key!r} is missing; {about}")
    for key, node in properties.items():
        node = resolved(node, root)
        if key not in complete and "default" in node:
            complete[key] = check(copy.deepcopy(node["default"]), node, root, (*path, key), source)
    return complete


def check_list(value: list, schema: Mapping, root: Mapping, path: Path_, source: Source) -> list:
    for key, fails, text in (("minItems", int.__lt__, "at least"), ("maxItems", int.__gt__, "at most")):
        if key in schema and fails(len(value), schema[key]):
            raise SettingsError(
                f"{place(path, source)} has {len(value)} entries, must have {text} {schema[key]}"
            )
    items = schema.get("items", {})
    return [check(item, items, root, (*path, str(index)), source) for index, item in enumerate(value)]


def known_name(name: str, names: Any, path: Path_, source: Source, what: str) -> None:
    if name not in names:
        hint = nearest(name, names) + f" (known: {', '.join(sorted(names))})"
        raise SettingsError(f"{place(path, source)}: there is no {what} {name!r}{hint}")


def check_config(config: Mapping, source: Source = "configuration") -> dict[str, Any]:
    """The configuration with every default filled in.

    Arguments:
        config: What the configuration files and the command line say.
        source: Name of the file for messages, or a function that gives it for the path of a key.

    Raises:
        SettingsError: unknown key, wrong type or value, a name that refers to nothing, a sampler or kind without code.
    """
    root = load_schema("config")
    complete = check(config, root, root, (), source)
    methods, kinds = sampler_options(), problem_kinds()
    for key, sampler in complete["samplers"].items():
        known_name(sampler["name"], methods, ("samplers", key, "name"), source, "sampler")
    for key, prior in complete["priors"].items():
        known_name(prior["dataset"], complete["datasets"], ("priors", key, "dataset"), source, "dataset")
    for name in complete["exact"]["samplers"]:
        known_name(name, complete["samplers"], ("exact", "samplers"), source, "sampler")
    for key, problem in complete["problems"].items():
        known_name(problem["kind"], kinds, ("problems", key, "kind"), source, "kind of problem")
        known_name(problem["prior"], complete["priors"], ("problems", key, "prior"), source, "prior")
        for name in problem["samplers"]:
            known_name(name, complete["samplers"], ("problems", key, "samplers"), source, "sampler")
    return complete


def check_table(rows: list[dict[str, Any]], source: str, name: str = "datasets") -> list[dict[str, Any]]:
    """The rows of a table (one dictionary of texts each), numbers as numbers, checked against its schema."""
    root, checked = load_schema(name), []
    for number, row in enumerate(rows, start=2):
        numeric = {key for key, node in root["properties"].items() if node.get("type") == "integer"}
        row = {
            key: int(text) if key in numeric and str(text).isdigit() else text for key, text in row.items()
        }
        checked.append(check(row, root, root, (f"line {number}",), source))
    return checked


# ---------------------------------------------------------------------------------------------- describing


def rows_of(node: Mapping, root: Mapping, path: str = "") -> Iterator[tuple[str, str, str, str]]:
    node = resolved(node, root)
    if "properties" in node:
        for key, item in node["properties"].items():
            yield from rows_of(item, root, f"{path}.{key}" if path else key)
        return
    extra = node.get("additionalProperties")
    if isinstance(extra, Mapping):
        yield path, "", "", node.get("description", "")
        yield from rows_of(extra, root, f"{path}.<name>")
        return
    default = f"`{json.dumps(node['default'])}`" if "default" in node else "required"
    allowed = node.get("enum")
    text = node.get("description", "") + (
        f" One of {', '.join(f'`{json.dumps(i)}`' for i in allowed)}." if allowed else ""
    )
    yield path, default, node.get("unit", "-"), text


def table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    lines = ["| key | default | unit | meaning |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{key}` | {default} | {unit} | {' '.join(text.split())} |" for key, default, unit, text in rows
    ]
    return "\n".join(lines)


def described() -> str:
    """The text of config/README.md: every key with its default, unit and meaning."""
    root = load_schema("config")
    parts = [
        "# Configuration",
        "",
        "<!-- made from the schemas by `python -m skyscore.settings`; do not edit -->",
        "",
    ]
    parts += [" ".join(root["description"].split()), "", table(rows_of(root, root))]
    for kind, node in sorted(problem_kinds().items()):
        parts += ["", f"## Problems of kind `{kind}`", "", table(rows_of(node, root))]
    parts += [
        "",
        "## Options of the samplers",
        "",
        "| sampler | option | default | meaning |",
        "| --- | --- | --- | --- |",
    ]
    for name, options in sorted(sampler_options().items()):
        for key, about in options.items():
            parts.append(
                f"| `{name}` | `{key}` | `{json.dumps(about['default'])}` | {about['description']} |"
            )
    files = load_schema("datasets")
    parts += [
        "",
        "## Columns of datasets.tsv",
        "",
        " ".join(files["description"].split()),
        "",
        table(rows_of(files, files)),
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    (PACKAGE.parents[1] / "config" / "README.md").write_text(described(), encoding="utf-8")
