"""JSON schemas of the configuration: what is written in schemas/, and what one sampler or one kind adds to a block.

A schema gives every key a description, a unit and a default, and allows no other key. The schema files hold the keys
that all blocks of a kind share. The options of a sampler and the settings of a kind come from
:mod:`skyscore.config.catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from .catalogue import dataset_kinds, problem_kinds, sampler_options
from .kinds import read_yaml

__all__ = ["entry_schema", "load_schema", "variants"]

SCHEMAS = files("skyscore.config") / "schemas"
#: key of a block's entries whose value decides what else they may hold, and its default
DECIDES = {"samplers": ("name", None), "problems": ("kind", None), "datasets": ("kind", "galaxies")}


@cache
def load_schema(name: str = "config") -> dict[str, Any]:
    """The schema of the configuration, or of the table "datasets". Every call returns the same object."""
    schema: dict[str, Any] = joined(read_yaml(SCHEMAS / f"{name}.schema.yaml"), SCHEMAS)
    return schema


def joined(node: Any, folder: Traversable) -> Any:
    """A schema with each `$ref` to a file replaced by the content of the file."""
    if isinstance(node, list):
        return [joined(item, folder) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return joined(read_yaml(folder.joinpath(*node["$ref"].split("/"))), folder)
    return {key: joined(item, folder) for key, item in node.items()}


def variants(block: str) -> dict[str, dict[str, Any]]:
    """{sampler or kind: schemas of the keys that it adds to an entry} of the block samplers, problems or datasets."""
    if block == "samplers":
        return {name: option_schemas(options) for name, options in sampler_options().items()}
    if block == "problems":
        return {kind: node["properties"] for kind, node in problem_kinds().items()}
    about = {"default": {}, "description": "Settings of this kind of images."}
    return {kind: {kind: {**node, **about}} for kind, node in dataset_kinds().items()}


def option_schemas(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Schemas of a sampler's options: without defaults, which its class fills in, and without `steps`."""
    return {
        name: {key: value for key, value in about.items() if key != "default"}
        for name, about in options.items()
        if name != "steps"
    }


def entry_schema(block: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of one entry of `samplers`, `problems` or `datasets`.

    It allows the keys of the sampler or kind of the entry. If that is missing or unknown, it allows the keys of all, of
    any type: the message is then about the sampler or kind.
    """
    base = load_schema()["properties"][block]["additionalProperties"]
    key, default = DECIDES[block]
    known, chosen = variants(block), entry.get(key, default)
    own = known.get(chosen) if isinstance(chosen, str) else None
    extra = own if own is not None else {name: {} for other in known.values() for name in other}
    return {**base, "properties": {**base["properties"], **extra}}
