"""Halves the number of images per call, once and with a warning, if a GPU runs out of memory."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import torch

__all__ = ["Batch"]

T = TypeVar("T")


class Batch:
    """The number of images that are processed at once.

    Arguments:
        size: initial number of images.
        what: their purpose, named in the warning.

    Attributes:
        halved: whether the number was halved; a second time is an error.
    """

    def __init__(self, size: int, what: str):
        self.size, self.what, self.halved = size, what, False

    def run(self, attempt: Callable[[int], T], rows: int) -> T:
        """Calls attempt(size) for this many rows in total; repeats it with half the size if the GPU runs out of memory.

        Raises:
            torch.OutOfMemoryError: if half the size is also too large, or the size was already halved.
        """
        try:
            return attempt(self.size)
        except torch.OutOfMemoryError:
            now = min(self.size, rows)
            if self.halved or now < 2:
                raise
        # outside the handler, because its traceback keeps the memory of the attempt allocated
        self.size, self.halved = now // 2, True
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        print(
            f"skyscore: warning: {self.what}: out of GPU memory with {now} images at once; going on with {self.size}",
            file=sys.stderr,
        )
        return attempt(self.size)
