"""Keys of the configuration that were renamed, under their old names."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from .messages import Keys

__all__ = ["OPTIONS", "old_keys", "with_new_names"]

#: options of samplers: old name to new name
OPTIONS = {"reach": "start_sigmas", "churn": "eta"}
#: place of an old key in a configuration (* is any name) to its new name
RENAMED: dict[Keys, str] = {
    **{("samplers", "*", old): new for old, new in OPTIONS.items()},
    ("problems", "*", "same_as"): "shares_truth_with",
    ("datasets", "*", "sky", "reach"): "background_width",
}
#: place of an old key in the settings that are stored with weights to its new name
STORED: dict[Keys, str] = {("images", "sky", "reach"): "background_width"}


def places(node: Any, pattern: Keys) -> Iterator[Keys]:
    """Keys that lead to each place of a nested dictionary that matches a pattern."""
    if not pattern:
        yield ()
    elif isinstance(node, Mapping):
        for key in node if pattern[0] == "*" else [pattern[0]]:
            if key in node:
                yield from ((key, *rest) for rest in places(node[key], pattern[1:]))


def old_keys(config: Any) -> Iterator[tuple[Keys, str]]:
    """Place and new name of each key of a configuration that has an old name."""
    for pattern, new in RENAMED.items():
        for keys in places(config, pattern):
            yield tuple(map(str, keys)), new


def with_new_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were stored with weights, as they are called today. The values are unchanged."""
    found = copy.deepcopy(dict(settings))
    for pattern, new in STORED.items():
        for *parents, old in list(places(found, pattern)):
            node = found
            for key in parents:
                node = node[key]
            node[new] = node.pop(old)
    return found
