"""Checks a value against a JSON schema and fills in the defaults. A mistake is answered with one line.

jsonschema finds the mistakes. This module adds the text of the messages, the defaults, numbers and booleans that arrive
as text, and the keyword `names`: the value is the name of something that the configuration or the code defines.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from .messages import Keys, SettingsError, Source, nearest, place, shown

__all__ = ["Names", "checked"]

LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "greater than",
    "exclusiveMaximum": "less than",
}
SIZES = {"minItems": "at least", "maxItems": "at most"}
#: a number with an exponent, which YAML reads as text unless it has a point and a sign: 1e3, 1e-3, 1.5e3
EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


class Names(NamedTuple):
    """What a word of the keyword `names` stands for: the word for one of them in messages, and all that exist."""

    one: str
    known: Iterable[str]


def is_integer(_: object, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(_: object, value: Any) -> bool:
    return is_integer(_, value) or (isinstance(value, float) and math.isfinite(value))


TYPES = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": is_integer, "number": is_number})


def checked(
    value: Any,
    schema: Mapping[str, Any],
    source: Source,
    keys: Keys = (),
    names: Mapping[str, Names] | None = None,
) -> Any:
    """`value` completed with the defaults of the schema.

    Arguments:
        source: name of the file for messages, or a function that gives it for the keys of a setting.
        keys: place of the value in the file.
        names: what each word after the keyword `names` stands for.

    Raises:
        SettingsError: for the first mistake.
    """
    complete = completed(value, schema)
    words = names or {}

    def exists(_: object, word: str, instance: Any, node: object) -> Iterator[ValidationError]:
        if isinstance(instance, str) and instance not in words[word].known:
            yield ValidationError(unknown_name(instance, words[word]))

    validator = extend(Draft202012Validator, {"names": exists}, type_checker=TYPES)
    error = next(validator(schema).iter_errors(complete), None)
    if error is not None:
        raise SettingsError(message(error, complete, keys, source))
    return complete


def unknown_name(name: str, names: Names) -> str:
    known = sorted(map(str, names.known))
    return f"there is no {names.one} {name!r}{nearest(name, known)} (known: {', '.join(known)})"


# ---------------------------------------------------------------------------- defaults


def completed(value: Any, schema: Mapping[str, Any]) -> Any:
    """`value` with the defaults of the schema, and with text as the number or boolean that the schema asks for."""
    if isinstance(value, str):
        return converted(value, types_of(schema))
    if isinstance(value, list) and "items" in schema:
        return [completed(item, schema["items"]) for item in value]
    if not isinstance(value, Mapping):
        return value
    properties, extra = schema.get("properties", {}), schema.get("additionalProperties")
    other = extra if isinstance(extra, Mapping) else {}
    complete = {key: completed(item, properties.get(key, other)) for key, item in value.items()}
    for key, node in properties.items():
        if key not in complete and "default" in node:
            complete[key] = completed(copy.deepcopy(node["default"]), node)
    return complete


def types_of(schema: Mapping[str, Any]) -> Container[str]:
    types = schema.get("type", ())
    return (types,) if isinstance(types, str) else types


def converted(text: str, types: Container[str]) -> Any:
    """`true` and `false` as the command line gives them, and numbers such as 1e3 that YAML reads as text."""
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if "string" in types or not EXPONENT.fullmatch(text):
        return text
    number = float(text)
    if "number" in types:
        return number
    return int(number) if "integer" in types and number.is_integer() else text


# ---------------------------------------------------------------------------- messages


def message(error: ValidationError, root: Any, keys: Keys, source: Source) -> str:
    """One line: where the mistake is, what is wrong, what to do."""
    path = (*keys, *map(str, error.absolute_path))
    node: Any = error.schema
    value: Any = error.instance
    bound: Any = error.validator_value
    where = place(path, source)
    about = " ".join(str(node.get("description", "")).split())
    if "propertyNames" in error.absolute_schema_path:
        if error.validator == "type":
            return f"{place((*path, str(value)), source)}: a name must be text; put it in quotes"
        return f"{place((*path, str(value)), source)}: a name may hold lower-case letters and digits only"
    if error.validator == "names":
        names = error.absolute_path
        last = tuple(path[:-1]) if names and isinstance(names[-1], int) else path  # of a list as a whole
        return f"{place(last, source)}: {error.message}"
    if error.validator == "additionalProperties":
        key = next(key for key in value if key not in node["properties"])
        hint = nearest(key, node["properties"]) or f"; known keys: {', '.join(node['properties'])}"
        return f"{place((*path, str(key)), source)}: unknown key {key!r}{hint}"
    if error.validator == "required":
        key = next(key for key in bound if key not in value)
        about = " ".join(node.get("properties", {}).get(key, {}).get("description", "").split())
        return f"{where}: the key {key!r} is missing; {about}{other_entry(error, root)}"
    if error.validator == "type":
        types = [bound] if isinstance(bound, str) else bound
        return f"{where} is {shown(value)}, expected {' or '.join(types)}; {about}"
    if error.validator == "enum":
        known = ", ".join(json.dumps(item) for item in bound)
        return f"{where} is {shown(value)}, not one of {known}{nearest(value, bound)}"
    if error.validator == "pattern":
        return f"{where} is {shown(value)}, expected a match of {bound}; {about}"
    if error.validator in LIMITS:
        return f"{where} is {shown(value)}, must be {LIMITS[error.validator]} {bound}; {about}"
    if error.validator in SIZES:
        return f"{where} has {len(value)} entries, must have {SIZES[error.validator]} {bound}; {about}"
    return f"{where}: {shown(error.message)}"


def other_entry(error: ValidationError, root: Any) -> str:
    """The entry that was perhaps meant, where one that the user named lacks a key."""
    path = list(error.absolute_path)
    if len(path) != 2:
        return ""
    block, name = path
    return nearest(name, [key for key in root[block] if key != name])
