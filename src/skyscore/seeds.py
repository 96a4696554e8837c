"""Seeds: one number in the configuration, one independent seed per job. torch is imported only for a generator."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from skyscore.compute.devices import pick_device

if TYPE_CHECKING:
    import torch

__all__ = ["generator", "job_seed"]


def job_seed(seed: int, *names: str) -> int:
    """The seed of one job, 0 to 2^32 - 1: a hash of the configuration's seed and the job's name."""
    return int.from_bytes(hashlib.sha256("/".join([str(seed), *names]).encode()).digest()[:4], "big")


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A seeded torch random generator on a device; "auto" selects the GPU if there is one."""
    import torch

    return torch.Generator(pick_device(str(device))).manual_seed(int(seed))
