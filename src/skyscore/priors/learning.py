"""Learning a prior from images: trains the denoiser of its kind in one process or in several.

`python -m skyscore.priors.learning FILE` runs one process of several; see :func:`learn_on`.
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
from skyscore.statistics.moments import RANK, Moments, leading_moments

from .field import FieldDenoiser
from .hybrid import HybridDenoiser
from .neural import NeuralPrior
from .principal import PrincipalDenoiser, principal_components

__all__ = ["field_of", "gaussian_part", "learn", "learn_on", "moments_to_keep"]


def gaussian_part(images: np.ndarray, settings: dict) -> tuple[Tensor, float]:
    """Variances of the cosine modes and the mean: from theory if the simulator has one, otherwise from the images."""
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


def moments_to_keep(path: str | Path, settings: dict) -> Moments | None:
    """Moments of a training set, including its flips and turns, for weights that do not contain them.

    Only the weights of plain networks need them; principal and hybrid priors contain their moments. Returns None for
    those.
    """
    if settings["kind"] != NeuralPrior.kind:
        return None
    images = io.read_dataset(path, "train")
    mean, U, v, rest = principal_components(images, settings["training"]["symmetry"], RANK)
    return leading_moments(mean.numpy(), U.float().numpy(), v.numpy(), rest)


def learn(
    images: np.ndarray,
    settings: dict,
    seed: int,
    checkpoint: Path,
    checkpoint_every: int,
    device: str,
    precision: str = "auto",
) -> tuple[Denoiser | HybridDenoiser, dict]:
    """Trains a denoiser on images `(N, 1, H, W)`; returns it with the record of its training.

    Arguments:
        images: training set, in prior units.
        settings: the settings that determine the weights: `kind`, `pixels`, `images`, `network`, `training`.
        seed: seed of all random numbers.
        checkpoint, precision: see :func:`skyscore.diffusion.training.train`.
        checkpoint_every: steps between two checkpoints.
        device: "cpu" or "cuda".
    """
    torch.manual_seed(seed)
    about = settings["pixels"], round(float(images.std()), 4), settings["network"]
    model: Denoiser | HybridDenoiser
    if settings["kind"] == "hybrid":
        model = HybridDenoiser(*about, *gaussian_part(images, settings))
    elif settings["kind"] == "principal":
        mean, U, power, residual = principal_components(images, settings["training"]["symmetry"])
        model = PrincipalDenoiser(*about, mean, U, power, residual)
    else:
        model = Denoiser(*about)
    schedule = {**settings["training"], "checkpoint_every": checkpoint_every, "precision": precision}
    return train(torch.from_numpy(images), model, schedule, seed, checkpoint, device)


def learn_on(
    devices: int,
    path: str,
    settings: dict,
    seed: int,
    checkpoint: Path,
    checkpoint_every: int,
    precision: str = "auto",
) -> tuple[Denoiser | HybridDenoiser, dict]:
    """Trains as :func:`learn`, on this many GPUs (CPU processes without a GPU), from a data set in a file.

    The processes end with a checkpoint of the last step, which this process then reads.
    """
    if devices > 1:
        job = {"path": str(path), "settings": settings, "seed": seed, "threads": torch.get_num_threads()}
        job |= {"checkpoint": str(checkpoint), "checkpoint_every": checkpoint_every, "precision": precision}
        launch(__name__, job, devices)
    images = io.read_dataset(path, "train")
    return learn(images, settings, seed, checkpoint, checkpoint_every, pick_device(), precision)


def worker(path: str) -> None:
    """Runs one process of several; torchrun sets its rank and address in the environment."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    cuda, rank = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    if cuda and torch.cuda.device_count() < int(os.environ["LOCAL_WORLD_SIZE"]):
        raise io.InputError(
            f"training.devices is {os.environ['LOCAL_WORLD_SIZE']}, but only {torch.cuda.device_count()} GPUs are "
            "visible; lower it, or request more GPUs (--resources gpu=N)"
        )
    device = f"cuda:{rank}" if cuda else "cpu"
    if cuda:
        torch.cuda.set_device(rank)
    dist.init_process_group("nccl" if cuda else "gloo")
    torch.set_num_threads(max(1, job["threads"] // dist.get_world_size()))
    try:
        images = io.read_dataset(job["path"], "train")
        checkpoint = Path(job["checkpoint"])
        schedule = checkpoint, job["checkpoint_every"], device, job["precision"]
        learn(images, job["settings"], job["seed"], *schedule)
        dist.barrier()  # all processes wait until the last checkpoint is written
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    worker(sys.argv[1])
