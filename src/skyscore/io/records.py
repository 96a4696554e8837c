"""JSON files, including the numbers of validation jobs, and conversion of values to JSON and numpy types."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skyscore import provenance as origin

from .files import InputError, existing, reading, write_text


def plain(value: Any) -> Any:
    """Converts numpy and torch scalars, arrays, tuples and paths to JSON types; a non-finite number becomes None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # numpy and torch
        return plain(value.tolist())
    return str(value)


def as_array(value: Any) -> np.ndarray:
    """A numpy array from an array-like value or a torch tensor."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def write_json(path: str | Path, content: Any) -> None:
    """Writes `content` as indented JSON, atomically; non-finite numbers become null."""
    write_text(path, json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Content of a JSON file.

    Raises:
        InputError: if the file is absent, damaged or not JSON.
    """
    with reading(path, "JSON file", "delete it and run again"):
        return json.loads(existing(path).read_text(encoding="utf-8"))


def short_keys(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers of one job by their names alone: `chi2_dof` instead of `<problem>/<sampler>/chi2_dof`."""
    return {key.rsplit("/", 1)[-1]: value for key, value in numbers.items()}


def write_numbers(
    path: str | Path, numbers: Mapping[str, float], source: Mapping | None = None, **content: Any
) -> None:
    """Writes the result of a validation job: {"numbers": {flat name: finite number}, "provenance": ..., further
    content}.

    Raises:
        InputError: for a number that is not finite.
    """
    flat = {}
    for name, value in numbers.items():
        value = plain(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(
                f"{path}: the number {name!r} is {value!r}, not a finite number; look for the cause in the job's log"
            )
        flat[str(name)] = value
    write_json(path, {"numbers": flat, **content, "provenance": source or origin.provenance()})
