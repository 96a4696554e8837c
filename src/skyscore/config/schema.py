"""What a configuration may hold: the schemas, and what one sampler or one kind of problem adds to them.

A schema gives every key a description, a unit and a default and allows no other key. What belongs to one sampler or one
kind of problem is not written there, see `skyscore.config.catalogue`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from .catalogue import dataset_kinds, problem_kinds, sampler_options

__all__ = ["dataset_schema", "load_schema", "problem_schema", "resolved", "sampler_schema"]

SCHEMAS = Path(__file__).with_name("schemas")


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


def dataset_schema(base: Mapping, kind: Any) -> dict[str, Any]:
    """Schema of one entry of `datasets`: the common keys and, under the name of its kind, the settings of that."""
    own = dataset_kinds().get(kind, {})
    about = {"default": {}, "description": f"Settings of the kind {kind!r}."}
    return {**base, "properties": {**base["properties"], **({str(kind): {**own, **about}} if own else {})}}
