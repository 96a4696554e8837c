"""When the memory of a GPU does not suffice: half as many images at once, once, and a line that says so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["Batch"]

T = TypeVar("T")


class Batch:
    """Creates the number of images that go through memory at once.

    Arguments:
        size: to begin with.
        what: they are for, said where it is halved.

    Attributes:
        halved: whether it was; a second time is an error.
    """

    def __init__(self, size: int, what: str):
        self.size, self.what, self.halved = size, what, False

    def run(self, attempt: Callable[[int], T], rows: int) -> T:
        """attempt(size) for so many rows in all; once more with half the size if that takes too much memory.

        Raises:
            torch.OutOfMemoryError: if half of them are too many too, or this was done before.
        """
        try:
            return attempt(self.size)
        except torch.OutOfMemoryError:
            now = min(self.size, rows)
            if self.halved or now < 2:
                raise
        # outside of the handler, whose traceback holds on to what the attempt had allocated
        self.size, self.halved = now // 2, True
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(
            f"skyscore: warning: {self.what}: out of GPU memory with {now} images at once; going on with {self.size}",
            file=sys.stderr,
        )
        return attempt(self.size)
