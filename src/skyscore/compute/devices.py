"""The device for computations: a GPU or the CPU. torch is imported only when needed."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

__all__ = ["has_gpu", "pick_device"]


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Whether there is a GPU with an NVIDIA driver (`/dev/nvidia0`, ...), on Linux. Needs no torch."""
    return any(devices.glob("nvidia[0-9]*"))


def pick_device(device: str = "auto") -> str:
    """The device for "auto": "cuda" if a GPU can be used, otherwise "cpu", with a warning. Other names stay.

    CUDA_VISIBLE_DEVICES decides which GPU is used, and whether there is one.
    """
    return usable_device() if device == "auto" else device


@cache  # so that the warning appears once per job
def usable_device() -> str:
    import torch

    try:
        torch.empty(1, device="cuda")
        return "cuda"
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f", CUDA_VISIBLE_DEVICES={visible}"
    print(f"skyscore: warning: no GPU ({reason}{shown}); computing on the CPU", file=sys.stderr)
    return "cpu"
