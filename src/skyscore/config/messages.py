"""What a wrong setting is answered with: one line that says where it is, what is wrong and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable

__all__ = ["Keys", "SettingsError", "Source", "nearest", "place", "shown"]

Keys = tuple[str, ...]  # the keys that lead to a setting
Source = str | Callable[[Keys], str]  # name of a file, or a function that gives it for the keys of a setting

LONGEST = 200  # characters of a value in a message


class SettingsError(ValueError):
    """A setting is wrong. The message is one line: where, what is wrong, what to do."""


def nearest(word: object, words: Iterable[object]) -> str:
    """A question that names the most similar of the known words, empty if none is similar."""
    match = difflib.get_close_matches(str(word), [str(known) for known in words], n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def place(keys: Keys, source: Source) -> str:
    """Where a setting is: "config/real.yaml: problems.lens.kind"."""
    name = source(keys) if callable(source) else source
    return f"{name}: {'.'.join(keys)}" if keys else name


def shown(value: object) -> str:
    """A value as a message shows it, cut if it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
