"""Seeds: one number in the configuration, one independent seed per job."""

from __future__ import annotations

import hashlib

import torch

__all__ = ["generator", "job_seed"]


def job_seed(seed: int, *names: str) -> int:
    """The seed of one job, 0 to 2^32 - 1: a hash of the configuration's seed and of what the job is called."""
    return int.from_bytes(hashlib.sha256("/".join([str(seed), *names]).encode()).digest()[:4], "big")


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A torch generator on a device, seeded."""
    return torch.Generator(device).manual_seed(seed)
