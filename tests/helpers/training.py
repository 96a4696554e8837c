"""A small network and a short training, as tests of networks, precision and batches use them."""

from __future__ import annotations

import torch

from skyscore.diffusion.network import Denoiser

NETWORK = {"patch": 2, "channels": [16, 16], "blocks": 1, "attention": 4}
SETTINGS = {
    "steps": 12,
    "batch": 8,
    "learning_rate": 1e-3,
    "warmup": 3,
    "decay": 0.5,
    "ema": 0.1,
    "log_sigma_mean": -1.2,
    "log_sigma_std": 1.5,
    "precision": "float32",
    "checkpoint_every": 4,
}


def fresh(seed=0, **changes):
    """An untrained denoiser of 16 x 16 images with a data standard deviation of 0.2."""
    torch.manual_seed(seed)
    return Denoiser(16, 0.2, {**NETWORK, **changes})
