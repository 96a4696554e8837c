"""What the machine has, where Snakemake runs: found without torch."""

from __future__ import annotations

from pathlib import Path

__all__ = ["has_gpu"]


def has_gpu(devices: Path = Path("/dev")) -> bool:
    """Is there a GPU with NVIDIA's driver (`/dev/nvidia0`, ...)? Linux; elsewhere no."""
    return any(devices.glob("nvidia[0-9]*"))
