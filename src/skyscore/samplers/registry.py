"""All samplers by name: every class with a `name` in the folders of this package. Adding one is adding a file."""

from __future__ import annotations

from pathlib import Path

from skyscore.config.registry import discover

from .base import Sampler

__all__ = ["SAMPLERS"]

SAMPLERS: dict[str, type[Sampler]] = {}
for _family in ("guidance", "splitting", "chains", "particles", "variational", "learned_noise"):
    _folder = Path(__file__).with_name(_family)
    SAMPLERS |= discover(f"{__package__}.{_family}", [str(_folder)], Sampler, "name")
