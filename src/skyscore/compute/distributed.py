"""Training in several processes on one machine: each takes its share of every batch, and gradients are averaged.

Every process draws the random numbers of a step (images, levels, noise) for the whole batch, from (seed, step), and
keeps its part: the loss is that of one process with the same batch, up to rounding.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["averaged", "launch", "parallel", "share"]


def share(batch: int) -> tuple[slice, int]:
    """The part of a batch for this process, and the rank of the process; the whole batch if there is one process.

    Raises:
        ValueError: if the batch cannot be divided into equal parts.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return slice(None), 0
    rank, world = dist.get_rank(), dist.get_world_size()
    if batch % world:
        raise ValueError(
            f"training: a batch of {batch} cannot be shared equally by {world} devices; change one of them"
        )
    return slice(rank * batch // world, (rank + 1) * batch // world), rank


def parallel(model: nn.Module, device: str) -> nn.Module:
    """The model as all processes train it together; the model itself if there is one process."""
    if not (dist.is_available() and dist.is_initialized()):
        return model
    ids = [torch.device(device)] if torch.device(device).type == "cuda" else None
    return DistributedDataParallel(model, device_ids=ids, broadcast_buffers=False)


def averaged(value: Tensor) -> Tensor:
    """Mean over the processes."""
    if dist.is_available() and dist.is_initialized():
        value = value.clone()
        dist.all_reduce(value)
        value = value / dist.get_world_size()
    return value


def launch(module: str, job: Mapping[str, Any], devices: int) -> None:
    """Runs `python -m module FILE` in this many processes on this machine with torchrun; FILE is the job as JSON.

    The output of the processes is printed.

    Raises:
        RuntimeError: if one of them fails; torchrun then stops the others.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.json"
        path.write_text(json.dumps(job), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "torch.distributed.run",
            "--standalone",
            f"--nproc-per-node={devices}",
        ]
        with subprocess.Popen(
            [*command, "-m", module, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as workers:
            for line in workers.stdout or ():
                print(line, end="")
    if workers.returncode:
        raise RuntimeError(
            f"{module}: a process of {devices} failed (exit code {workers.returncode}); its error is above"
        )
