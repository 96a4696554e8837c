"""What the machine computes with: a GPU or the CPU. torch is imported only where it is asked."""

from __future__ import annotations

import os
import sys
from functools import cache
from pathlib import Path

__all__ = ["has_gpu", "pick_device"]


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Is there a GPU with NVIDIA's driver (`/dev/nvidia0`, ...)? Linux; elsewhere no. Needs no torch."""
    return any(devices.glob("nvidia[0-9]*"))


def pick_device(device: str = "auto") -> str:
    """ "auto" -> "cuda" where a GPU can be used, else "cpu", with one line of warning; other names pass through.

    CUDA_VISIBLE_DEVICES decides which GPU that is, and whether there is one.
    """
    return usable_device() if device == "auto" else device


@cache  # the warning is one line of a job
def usable_device() -> str:
    import torch

    try:
        torch.empty(1, device="cuda")
        return "cuda"
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    shown = "" if visible is None else f", CUDA_VISIBLE_DEVICES={visible}"
    print(f"skyscore: warning: no GPU ({reason}{shown}); computing on the CPU", file=sys.stderr)
    return "cpu"
