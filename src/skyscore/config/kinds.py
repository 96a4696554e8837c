"""Kinds of problems and of training sets, read from the YAML files beside their code. Needs no torch.

`problems/<kind>/settings.yaml` has `properties`, the JSON schema of each setting, and `files`, what an observed problem
reads, by role. In a role, <key> stands for the value of the setting `key`, or for any name if there is no such setting.
`simulate/<kind>.yaml` has `properties`. `<kind>` is the `kind` of the class in the code.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml

from .messages import SettingsError

__all__ = ["dataset_kinds", "problem_files", "problem_kinds", "read_yaml"]

PACKAGE = files("skyscore")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the safe loader; in C it takes a tenth of the time


def read_yaml(file: Traversable) -> Any:
    """The content of a YAML file.

    Raises:
        SettingsError: not YAML.
    """
    try:
        return yaml.load(file.read_text(encoding="utf-8"), LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: not readable as YAML ({' '.join(str(error).split())})") from error


def described(file: Traversable) -> dict[str, Any]:
    """The content of the YAML file of a kind.

    Raises:
        SettingsError: not YAML, or without the block `properties`.
    """
    content = read_yaml(file)
    if not isinstance(content, dict) or not isinstance(content.get("properties"), dict):
        raise SettingsError(f"{file}: the block `properties` is missing; it describes each setting")
    return content


@cache
def problems() -> dict[str, dict[str, Any]]:
    """{kind: content of its settings.yaml}."""
    folders = sorted((PACKAGE / "problems").iterdir(), key=lambda folder: folder.name)
    found = {folder.name: folder / "settings.yaml" for folder in folders if folder.is_dir()}
    return {kind: described(file) for kind, file in found.items() if file.is_file()}


@cache
def problem_kinds() -> dict[str, dict[str, Any]]:
    """{kind: JSON schema of the settings of its problems}. Every call returns the same objects: do not change them."""
    return {kind: {"type": "object", "properties": about["properties"]} for kind, about in problems().items()}


@cache
def problem_files() -> dict[str, dict[str, str]]:
    """{kind: {role: what the file holds}} of the files that observed problems read."""
    return {kind: about.get("files") or {} for kind, about in problems().items()}


@cache
def dataset_kinds() -> dict[str, dict[str, Any]]:
    """{kind: JSON schema of the settings of its training sets}. Every call returns the same objects."""
    paths = sorted((PACKAGE / "simulate").iterdir(), key=lambda file: file.name)
    kinds = {file.name.removesuffix(".yaml"): file for file in paths if file.name.endswith(".yaml")}
    return {
        kind: {"type": "object", "additionalProperties": False, "properties": described(file)["properties"]}
        for kind, file in kinds.items()
    }
