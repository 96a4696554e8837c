"""The reference of the configuration, docs/reference/configuration*.md, from the schemas and from what the code offers.

Each function makes the tables of one page or of one section.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from skyscore.config.catalogue import dataset_kinds, problem_files, problem_kinds, sampler_options
from skyscore.config.schema import load_schema

__all__ = ["columns", "datasets", "keys", "options", "problems"]

Row = tuple[str, str, str, str]
ROLE = re.compile(r":\w+:`~?([^`]+)`")  # a reference of Sphinx in a docstring


def rows_of(node: Mapping, path: str = "") -> Iterator[Row]:
    """Key, default, unit and meaning of every key below a node of a schema."""
    if "properties" in node:
        for key, item in node["properties"].items():
            yield from rows_of(item, f"{path}.{key}" if path else key)
        return
    extra = node.get("additionalProperties")
    if isinstance(extra, Mapping):
        yield path, "", "", node.get("description", "")
        yield from rows_of(extra, f"{path}.<name>")
        return
    default = f"`{json.dumps(node['default'])}`" if "default" in node else "required"
    allowed = node.get("enum")
    text = node.get("description", "")
    if allowed:
        text += f" One of {', '.join(f'`{json.dumps(i)}`' for i in allowed)}."
    yield path, default, node.get("unit", "-"), text


def cell(text: str) -> str:
    """Text of one line for a cell of a table, where `|` would end the cell and `<name>` outside of code is HTML."""
    parts = " ".join(text.replace("|", r"\|").split()).split("`")
    return "`".join(part if i % 2 else part.replace("<", "&lt;") for i, part in enumerate(parts))


def table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *(tuple(map(cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def meanings(rows: Iterator[Row]) -> str:
    lines = [(f"`{key}`", default, unit, text) for key, default, unit, text in rows]
    return table(("key", "default", "unit", "meaning"), lines)


def keys() -> str:
    """Every key but those of one kind of problem, data set or sampler; a table for each block of the configuration."""
    parts, alone = [], []
    for key, node in load_schema("config")["properties"].items():
        rows = list(rows_of(node, key))
        if len(rows) == 1:
            alone += rows
        else:
            parts.append(f"## `{key}`\n\n{meanings(iter(rows))}")
    return "\n\n".join([f"## Keys of the whole run\n\n{meanings(iter(alone))}", *parts])


def datasets() -> str:
    """The settings of each kind of training set."""
    return "\n\n".join(
        f"## Data sets of kind `{kind}`\n\nUnder `datasets.<name>.{kind}`:\n\n{meanings(rows_of(node))}"
        for kind, node in sorted(dataset_kinds().items())
    )


def problems() -> str:
    """The settings and the files of each kind of problem."""
    parts = []
    for kind, node in sorted(problem_kinds().items()):
        roles = [(f"`{role}`", text) for role, text in problem_files()[kind].items()]
        files = table(("role under `files`", "what the file holds"), roles)
        parts.append(f"## Problems of kind `{kind}`\n\n{meanings(rows_of(node))}\n\n{files}")
    return "\n\n".join(parts)


def options() -> str:
    """The options of all samplers, then those that each adds."""
    known = {name: dict(sorted(found.items())) for name, found in sorted(sampler_options().items())}
    first, *others = known.values()
    shared = {key: about for key, about in first.items() if all(other.get(key) == about for other in others)}
    parts = [f"## Options of every sampler\n\n{described(shared)}"]
    for name, found in known.items():
        own = {key: about for key, about in found.items() if shared.get(key) != about}
        parts.append(f"## `{name}`\n\n{described(own) if own else 'No options of its own.'}")
    return "\n\n".join(parts)


def described(found: Mapping[str, Mapping]) -> str:
    rows = [
        (f"`{key}`", f"`{json.dumps(about['default'])}`", ROLE.sub(r"`\1`", about["description"]))
        for key, about in found.items()
    ]
    return table(("option", "default", "meaning"), rows)


def columns() -> str:
    """The columns of config/datasets.tsv."""
    files = load_schema("datasets")
    return f"{' '.join(files['description'].split())}\n\n{meanings(rows_of(files))}"
