"""Numbers of one object in words, each with its error or the spread of its samples: what captions of the report say."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["in_words"]

ERRORS = ("_error", "_random_sd", "_std", "_sd")  # what the key of a number's error ends in


def in_words(numbers: Mapping[str, float], words: Mapping[str, str]) -> list[str]:
    """`["chi2 per datum on the arcs 1.059 (1.055 to 1.063)", ...]`, in the order of `words`.

    Arguments:
        numbers: by key; `<key>_p16` and `<key>_p84` bound the samples of a median, `<key>_error` is a standard error.
        words: by key, a regular expression; {} is filled with what its group matched.
    """
    said = []
    for pattern, text in words.items():
        for key, value in numbers.items():
            found = re.fullmatch(pattern, key)
            if found:
                said.append(f"{text.format(*found.groups())} {value:.3g}{spread(numbers, key)}")
    return said


def spread(numbers: Mapping[str, float], key: str) -> str:
    """The error of a number, or the range of its samples; nothing where it has neither."""
    if f"{key}_p16" in numbers:
        return f" ({numbers[f'{key}_p16']:.3g} to {numbers[f'{key}_p84']:.3g})"
    names = [*(key + end for end in ERRORS), key.replace("_arcsec", "_error_arcsec")]
    error = next((numbers[name] for name in names if name != key and name in numbers), None)
    return "" if error is None else f" +- {error:.2g}"
