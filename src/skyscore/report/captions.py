"""Numbers of one object as text, each with its error or the range of its samples, for captions of the report."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["in_words"]

ERRORS = ("_error", "_random_sd", "_std", "_sd")  # endings of the keys of errors


def in_words(numbers: Mapping[str, float], words: Mapping[str, str]) -> list[str]:
    """Numbers as text: `["chi2 per datum on the arcs 1.059 (1.055 to 1.063)", ...]`, in the order of `words`.

    Arguments:
        numbers: by key; `<key>_p16` and `<key>_p84` are quantiles of the samples, `<key>_error` is a standard error.
        words: text by key; a key is a regular expression, and {} in the text is replaced by its group.
    """
    found = []
    for pattern, text in words.items():
        for key, value in numbers.items():
            match = re.fullmatch(pattern, key)
            if match:
                found.append(f"{text.format(*match.groups())} {value:.3g}{spread(numbers, key)}")
    return found


def spread(numbers: Mapping[str, float], key: str) -> str:
    """The error of a number, or the range of its samples, as text; empty if it has neither."""
    if f"{key}_p16" in numbers:
        return f" ({numbers[f'{key}_p16']:.3g} to {numbers[f'{key}_p84']:.3g})"
    names = [*(key + end for end in ERRORS), key.replace("_arcsec", "_error_arcsec")]
    error = next((numbers[name] for name in names if name != key and name in numbers), None)
    return "" if error is None else f" +- {error:.2g}"
