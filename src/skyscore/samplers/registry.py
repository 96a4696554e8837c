"""All samplers by name: every class with a `name` in the folder of a family. To add a sampler, add a file there."""

from __future__ import annotations

from pathlib import Path

from skyscore.config.registry import discover

from .base import Sampler

__all__ = ["SAMPLERS"]

SAMPLERS: dict[str, type[Sampler]] = discover(
    __package__, Path(__file__).parent, Sampler, "name", loose=False
)
