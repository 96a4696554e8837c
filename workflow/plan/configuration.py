"""The configuration as a run is given it: checked, completed, and each setting traced to the file that holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from skyscore.config.datasets import read_table
from skyscore.config.settings import SettingsError, check_config

__all__ = ["checked_config", "checked_table", "source_of", "stop"]

Keys = Sequence[str]


def stop(message: object) -> SystemExit:
    """What ends a run with one line: `raise stop(...)`."""
    return SystemExit(f"skyscore: error: {message}")


def holds(node: Any, keys: Keys) -> bool:
    """Does the nested dictionary hold the key?"""
    for key in keys:
        if not isinstance(node, Mapping) or key not in node:
            return False
        node = node[key]
    return True


@cache
def settings_in(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def source_of(base: Path, files: Sequence[str | Path], given: Mapping[str, Any]) -> Callable[[Keys], str]:
    """A function from the keys of a setting to where it comes from.

    Arguments:
        base: folder of the workflow.
        files: configuration files in the order in which they are merged.
        given: settings of the command line.
    """

    def source(keys: Keys) -> str:
        if keys and holds(given, keys):
            return "--config"
        for path in [*reversed(files), base / "config" / "config.yaml"]:
            if holds(settings_in(Path(path)), keys):
                return os.path.relpath(path)
        return "configuration"

    return source


def checked_config(config: Mapping[str, Any], source: Callable[[Keys], str]) -> dict[str, Any]:
    """The configuration with all defaults.

    Raises:
        SystemExit: with one line, if a setting is wrong.
    """
    try:
        return check_config(config, source)
    except SettingsError as error:
        raise stop(error) from None


def checked_table(base: Path, name: str = "datasets") -> dict[str, dict[str, Any]]:
    """The rows of config/<name>.tsv, by `<host>/<path>`.

    Raises:
        SystemExit: with one line, if a row is wrong.
    """
    try:
        rows = read_table(base / "config" / f"{name}.tsv", f"config/{name}.tsv", name)
    except SettingsError as error:
        raise stop(error) from None
    return {row["url"].split("://", 1)[1]: row for row in rows}
