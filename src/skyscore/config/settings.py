"""The configuration: checked against its schema and completed with defaults.

What may be set is in `skyscore.config.schema` and `skyscore.config.catalogue`; config/README.md describes it, see
`docs.make.config_reference`.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from .catalogue import dataset_kinds, problem_files, problem_kinds, sampler_options
from .schema import dataset_schema, load_schema, problem_schema, resolved, sampler_schema

__all__ = [
    "SettingsError",
    "check_config",
    "is_real",
    "load_schema",
    "problem_kinds",
    "sampler_options",
]

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


class SettingsError(ValueError):
    """A setting is wrong. The message is one line: where, what is wrong, what to do."""


class MissingKey(SettingsError):
    """A block lacks a key that has no default."""


def is_real(problem: Mapping) -> bool:
    """Is a problem observed, in downloaded data or in files of one's own, and not simulated?"""
    return bool(problem["data"] or problem["files"])


def nearest(word: str, words: Any) -> str:
    match = difflib.get_close_matches(str(word), [str(known) for known in words], n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


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
    for key in schema.get("required", ()):
        if key not in value:
            for meant in difflib.get_close_matches(key, [str(k) for k in value if k not in properties], n=1):
                raise SettingsError(
                    f"{place((*path, meant), source)}: unknown key {meant!r}; did you mean {key!r}?"
                )
            about = resolved(properties.get(key, {}), root).get("description", "")
            raise MissingKey(f"{place(path, source)}: the key {key!r} is missing; {about}")
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
                if "name" in item:  # before its options, which nothing would know
                    known_name(item["name"], sampler_options(), (*path, str(key), "name"), source, "sampler")
                item_schema = sampler_schema(resolved(extra, root), item.get("name"))
            elif path == ("problems",) and isinstance(item, Mapping):
                item_schema = problem_schema(resolved(extra, root), item.get("kind"))
            elif path == ("datasets",) and isinstance(item, Mapping):
                item_schema = dataset_schema(resolved(extra, root), item.get("kind", "galaxies"))
            try:
                complete[key] = check(item, item_schema, root, (*path, str(key)), source)
            except MissingKey as error:  # a name of the user's: perhaps one that is there was meant
                raise SettingsError(
                    f"{error}{nearest(key, [name for name in value if name != key])}"
                ) from None
        elif extra is True:
            complete[key] = item
        else:
            hint = nearest(key, properties) or f"; known keys: {', '.join(properties)}"
            raise SettingsError(f"{place((*path, str(key)), source)}: unknown key {key!r}{hint}")
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
    for key, dataset in complete["datasets"].items():
        known_name(dataset["kind"], dataset_kinds(), ("datasets", key, "kind"), source, "kind of data set")
    for key, prior in complete["priors"].items():
        known_name(prior["dataset"], complete["datasets"], ("priors", key, "dataset"), source, "dataset")
    if complete["slic"]["prior"] is not None:
        known_name(complete["slic"]["prior"], complete["priors"], ("slic", "prior"), source, "prior")
    for name in complete["exact"]["samplers"]:
        known_name(name, complete["samplers"], ("exact", "samplers"), source, "sampler")
    for name in complete["validation"]["samplers"]:
        known_name(name, complete["samplers"], ("validation", "samplers"), source, "sampler")
    for key, problem in complete["problems"].items():
        known_name(problem["kind"], kinds, ("problems", key, "kind"), source, "kind of problem")
        known_name(problem["prior"], complete["priors"], ("problems", key, "prior"), source, "prior")
        if problem["noise"] is not None:
            known_name(problem["noise"], complete["priors"], ("problems", key, "noise"), source, "prior")
        for role, names in (("truth", "datasets"), ("same_as", "problems")):
            if problem[role] is not None:
                known_name(problem[role], complete[names], ("problems", key, role), source, names[:-1])
        for name in problem["samplers"]:
            known_name(name, complete["samplers"], ("problems", key, "samplers"), source, "sampler")
        if problem["files"]:
            known_files(problem, ("problems", key, "files"), source)
    return complete


def known_files(problem: Mapping, path: Path_, source: Source) -> None:
    """SettingsError unless the roles of a problem's own files are those that its kind reads.

    In a role such as <band>_psf stands the value of the setting of that name; any other word in brackets, for any name.
    """
    if problem["data"]:
        raise SettingsError(f"{place(path, source)}: beside `data: {problem['data']}`; give one of the two")
    roles = [
        re.sub(r"<(\w+)>", lambda match: str(problem.get(match[1]) or match[0]), role)
        for role in problem_files()[problem["kind"]]
    ]
    for role in problem["files"]:
        if not any(re.fullmatch(re.sub(r"<\w+>", r"\\w+", known), role) for known in roles):
            known_name(role, roles, (*path, role), source, "role of a file")
