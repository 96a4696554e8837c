"""The configuration: checked against its schema and completed with defaults.

:mod:`skyscore.config.schema` and :mod:`skyscore.config.catalogue` say what it may hold,
docs/reference/configuration.md describes every key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .catalogue import dataset_kinds, problem_files, problem_kinds, sampler_options
from .check import Names, checked, unknown_name
from .messages import Keys, SettingsError, Source, place
from .renamed import old_keys
from .schema import DECIDES, entry_schema, load_schema

__all__ = ["SettingsError", "check_config", "is_real"]


def is_real(problem: Mapping[str, Any]) -> bool:
    """Is a problem observed, in downloaded data or in the user's own files, and not simulated?"""
    return bool(problem["data"] or problem["files"])


def check_config(config: Mapping[str, Any], source: Source = "configuration") -> dict[str, Any]:
    """The configuration with every default filled in.

    Arguments:
        config: What the configuration files and the command line say.
        source: Name of the file for messages, or a function that gives it for the path of a key.

    Raises:
        SettingsError: a renamed or unknown key, a wrong type or value, a name that refers to nothing, a sampler or kind
            without code.
    """
    for keys, new in old_keys(config):
        raise SettingsError(f"{place(keys, source)} is now called {new}; rename it")
    complete: dict[str, Any] = checked(config, schema_of(config), source, names=names_in(config))
    for key, problem in complete["problems"].items():
        if problem["files"]:
            check_files(problem, ("problems", key, "files"), source)
    return complete


def schema_of(config: Any) -> dict[str, Any]:
    """The schema of a configuration, with the keys that each entry has by its sampler or kind."""
    root = load_schema("config")
    blocks = dict(root["properties"])
    for block in DECIDES:
        entries = config.get(block) if isinstance(config, Mapping) else None
        if isinstance(entries, Mapping):
            own = {
                k: entry_schema(block, entry) for k, entry in entries.items() if isinstance(entry, Mapping)
            }
            blocks[block] = {**blocks[block], "properties": own}
    return {**root, "properties": blocks}


def names_in(config: Any) -> dict[str, Names]:
    """What the keyword `names` of the schema may refer to: entries of the configuration, and what the code offers."""

    def entries(block: str) -> Names:
        found = config.get(block) if isinstance(config, Mapping) else None
        return Names(block.removesuffix("s"), found if isinstance(found, Mapping) else ())

    return {
        **{block: entries(block) for block in ("datasets", "priors", "samplers", "problems")},
        "methods": Names("sampler", sampler_options()),
        "kinds of problems": Names("kind of problem", problem_kinds()),
        "kinds of data sets": Names("kind of data set", dataset_kinds()),
    }


def check_files(problem: Mapping[str, Any], keys: Keys, source: Source) -> None:
    """Checks that the roles of a problem's own files are those that its kind reads.

    In a role such as <band>_psf stands the value of the setting of that name; any other word in brackets, for any name.

    Raises:
        SettingsError: for an unknown role, or for files beside `data`.
    """
    if problem["data"]:
        raise SettingsError(f"{place(keys, source)}: beside `data: {problem['data']}`; give one of the two")
    roles = [
        re.sub(r"<(\w+)>", lambda match: str(problem.get(match[1]) or match[0]), role)
        for role in problem_files()[problem["kind"]]
    ]
    for role in problem["files"]:
        if not any(re.fullmatch(re.sub(r"<\w+>", r"\\w+", known), role) for known in roles):
            raise SettingsError(
                f"{place((*keys, role), source)}: {unknown_name(role, Names('role of a file', roles))}"
            )
