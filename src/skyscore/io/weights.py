"""Weights of a network: safetensors with text metadata. No other format is loaded, and never a pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .files import InputError, existing, reading, write_bytes

if TYPE_CHECKING:
    import torch


def write_weights(path: str | Path, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str]) -> None:
    """Writes a network's tensors and text metadata as safetensors, atomically."""
    from safetensors.torch import save

    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    # save_file is not used: only the owner could read its file
    write_bytes(path, save(held, metadata={str(key): str(value) for key, value in metadata.items()}))


def read_weights(path: str | Path, device: str = "cpu") -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        InputError: for any other file; it is refused without being loaded, in particular a pickle.
    """
    from safetensors import safe_open

    with open(existing(path), "rb") as file:
        head = file.read(9)
    if head[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05") or head[8:9] != b"{":
        kind = "a pickle (torch.save)" if head[:2] == b"PK" or head[:1] == b"\x80" else "another format"
        raise InputError(
            f"{path}: weights must be safetensors, but this file is {kind} and is refused; give a .safetensors file"
        )
    with reading(path, "safetensors file", "fetch or train it again"):
        with safe_open(path, framework="pt", device=device) as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})
