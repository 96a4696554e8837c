"""Learning a prior from images: the denoiser of its kind, trained by one process or by several.

`python -m skyscore.priors.learning FILE` is one of several; see :func:`learn_on`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from skyscore import io
from skyscore.compute.devices import pick_device
from skyscore.compute.distributed import launch
from skyscore.diffusion.network import Denoiser
from skyscore.diffusion.training import train
from skyscore.simulate import SIMULATORS
from skyscore.statistics.cosine import cosine_power, measured_power

from .field import FieldDenoiser
from .hybrid import HybridDenoiser
from .principal import PrincipalDenoiser, principal_components

__all__ = ["field_of", "gaussian_part", "learn", "learn_on"]


def gaussian_part(images: np.ndarray, settings: dict) -> tuple[Tensor, float]:
    """Variances of the cosine modes and mean: of theory where the simulator has one, else of the images themselves."""
    for kind, own in settings["images"].items():
        covariance = SIMULATORS[kind].covariance(settings["pixels"], own) if kind in SIMULATORS else None
        if covariance is not None:
            return torch.from_numpy(cosine_power(covariance)), 0.0
    mean = round(float(images.mean()), 4)
    square = settings["training"]["symmetry"] == "square"
    return torch.from_numpy(measured_power(images - mean, square)), mean


def field_of(images: np.ndarray, settings: dict) -> FieldDenoiser:
    """The Gaussian field with the spectrum of theory, or of images `(N, 1, H, W)`; nothing is trained."""
    power, mean = gaussian_part(images, settings)
    return FieldDenoiser(settings["pixels"], round(float(images.std()), 4), power, mean)


def learn(
    images: np.ndarray, settings: dict, seed: int, checkpoint: Path, checkpoint_every: int, device: str
) -> tuple[Denoiser, dict]:
    """A denoiser trained on images `(N, 1, H, W)`, and the record of its training.

    Arguments:
        settings: what decides the weights: `kind`, `pixels`, `images`, `network`, `training`.
        checkpoint: see :func:`skyscore.diffusion.training.train`.
    """
    torch.manual_seed(seed)
    about = settings["pixels"], round(float(images.std()), 4), settings["network"]
    if settings["kind"] == "hybrid":
        model = HybridDenoiser(*about, *gaussian_part(images, settings))
    elif settings["kind"] == "principal":
        model = PrincipalDenoiser(*about, *principal_components(images, settings["training"]["symmetry"]))
    else:
        model = Denoiser(*about)
    schedule = {**settings["training"], "checkpoint_every": checkpoint_every}
    return train(torch.from_numpy(images), model, schedule, seed, checkpoint, device)


def learn_on(
    devices: int, path: str, settings: dict, seed: int, checkpoint: Path, checkpoint_every: int
) -> tuple[Denoiser, dict]:
    """The same by so many GPUs (processes of the CPU where there is none), from the data set in a file.

    The processes end with a checkpoint of the last step; taking it up here is all that is left to do.
    """
    if devices > 1:
        job = {"path": str(path), "settings": settings, "seed": seed, "threads": torch.get_num_threads()}
        job |= {"checkpoint": str(checkpoint), "checkpoint_every": checkpoint_every}
        launch(__name__, job, devices)
    images = io.read_dataset(path, "train")
    return learn(images, settings, seed, checkpoint, checkpoint_every, pick_device())


def worker(path: str) -> None:
    """One process of several; its rank and address are in the environment that torchrun made."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    cuda, rank = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    if cuda and torch.cuda.device_count() < int(os.environ["LOCAL_WORLD_SIZE"]):
        raise io.InputError(
            f"training.devices is {os.environ['LOCAL_WORLD_SIZE']}, and {torch.cuda.device_count()} GPUs are visible; "
            "lower it, or ask for more (--resources gpu=N)"
        )
    device = f"cuda:{rank}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(rank)
    dist.init_process_group("nccl" if cuda else "gloo")
    torch.set_num_threads(max(1, job["threads"] // dist.get_world_size()))
    try:
        images = io.read_dataset(job["path"], "train")
        checkpoint = Path(job["checkpoint"])
        learn(images, job["settings"], job["seed"], checkpoint, job["checkpoint_every"], device)
        dist.barrier()  # none leaves before the last checkpoint is written
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    worker(sys.argv[1])
