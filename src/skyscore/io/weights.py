"""Weights of a network: safetensors with text metadata; nothing else is loaded, a pickle above all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .files import InputError, existing, reading, write_bytes

if TYPE_CHECKING:
    import torch


def write_weights(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Write a network's tensors and text metadata as safetensors, atomically."""
    from safetensors.torch import save

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # not save_file: that leaves a file only its owner can read
    write_bytes(path, save(held, metadata={str(key): str(value) for key, value in metadata.items()}))


def read_weights(path: str | Path, device: str = "cpu") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file. Anything else, a pickle above all, is refused and never loaded."""
    from safetensors import safe_open

    with open(existing(path), "rb") as file:
        head = file.read(9)
    if head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or head[8:9] != b"{":
        kind = "a pickle (torch.save)" if head[:2] == b"PK" or head[:1] == b"\x80" else "of another format"
        raise InputError(
            f"{path}: weights must be safetensors, this file is {kind}; refused, give a .safetensors file"
        )
    with reading(path, "safetensors file", "fetch or train it again"):
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
