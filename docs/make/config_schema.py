"""The JSON schema for editors, config/schema.json: `python -m docs.make.config_schema` writes it.

The first line of every configuration file names it, so that an editor completes keys, shows their meaning and marks
mistakes. It is the schema of the configuration (:mod:`skyscore.config.schema`) with the options of all samplers and the
settings of all kinds. No key is required, because an overlay holds only what it changes. An entry that names its
sampler or kind may have the keys of that one only. An entry that does not name it, because another file does, may have
the keys of all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from skyscore.config.schema import DECIDES, load_schema, variants

__all__ = ["PATH", "editor_schema", "text", "write"]

PATH = Path(__file__).resolve().parents[2] / "config" / "schema.json"
LEFT_OUT = ("required", "names", "unit")


def editor_schema() -> dict[str, Any]:
    """The schema of a configuration file, as an editor reads it (JSON schema, draft 7)."""
    root = plain(load_schema("config"))
    for block in DECIDES:
        node = root["properties"][block]
        node["additionalProperties"] = entry(block, node["additionalProperties"])
    return {**root, "$schema": "http://json-schema.org/draft-07/schema#", "title": "skyscore configuration"}


def plain(node: Any) -> Any:
    """A schema without the keywords that editors do not know; a unit goes into the description."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: plain(item) for key, item in node.items() if key not in (*LEFT_OUT, "properties")}
    if isinstance(found.get("description"), str):
        unit = f" [{node['unit']}]" if "unit" in node else ""
        found["description"] = " ".join(node["description"].split()) + unit
    if "properties" in node:
        found["properties"] = {key: plain(item) for key, item in node["properties"].items()}
    return found


def entry(block: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """Schema of an entry of the block: the keys of all samplers or kinds, and by name only its own."""
    key, _ = DECIDES[block]
    own = {name: {k: plain(node) for k, node in nodes.items()} for name, nodes in variants(block).items()}
    every: dict[str, list[Any]] = {}
    for nodes in own.values():
        for name, node in nodes.items():
            every.setdefault(name, []).append(node)
    merged = {name: together(nodes) for name, nodes in every.items()}
    common = {**base["properties"], key: {**base["properties"][key], "enum": sorted(own)}}
    by_name = [
        {
            "if": {"properties": {key: {"const": name}}, "required": [key]},
            "then": {
                "propertyNames": {"enum": sorted({*common, *nodes})},
                "properties": {k: node for k, node in nodes.items() if node != merged[k]},
            },
        }
        for name, nodes in own.items()
    ]
    return {**base, "properties": {**common, **merged}, "allOf": by_name}


def together(nodes: list[Any]) -> Any:
    """One schema for a key that several samplers or kinds have."""
    different = [node for i, node in enumerate(nodes) if node not in nodes[:i]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def text() -> str:
    """The content of config/schema.json."""
    return json.dumps(editor_schema(), indent=1) + "\n"


def write() -> None:
    """Writes config/schema.json."""
    PATH.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    write()
