"""The precision inside a network: bfloat16 if the hardware supports it, otherwise float32.

Training and inference both use :func:`pick_precision`. A processor without bfloat16 instructions emulates it: on a
processor with only AVX2, a training step of 32 images of 32 x 32 pixels takes 21 times as long as in float32.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

__all__ = ["Precision", "autocast", "has_bfloat16", "pick_precision"]

PRECISIONS = ("bfloat16", "float32")


class Precision(NamedTuple):
    """A precision and the reason for it.

    Attributes:
        name: "bfloat16" or "float32".
        reason: reason in words, for a log.
    """

    name: str
    reason: str


def has_bfloat16(device: torch.device | str) -> bool:
    """Whether the hardware of a device supports bfloat16.

    NVIDIA GPUs do from compute capability 8.0 (Ampere) on, processors with AVX-512-BF16 or AMX.
    """
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def pick_precision(asked: str, device: torch.device | str) -> Precision:
    """The fastest precision of a device for "auto"; "bfloat16" and "float32" are returned as they are.

    Raises:
        ValueError: for any other name.
    """
    if asked in PRECISIONS:
        return Precision(asked, "as requested")
    if asked != "auto":
        raise ValueError(f"unknown precision {asked!r}; use auto, {' or '.join(PRECISIONS)}")
    hardware = "GPU" if torch.device(device).type == "cuda" else "processor"
    if has_bfloat16(device):
        return Precision("bfloat16", f"this {hardware} supports it")
    return Precision("float32", f"this {hardware} does not support bfloat16")


def autocast(device: torch.device | str, precision: str) -> torch.autocast:
    """Context in which the products of a network have this precision; sums and weights stay float32."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")
