"""Which checkpoint a training continues: one that has all that decides its weights in common with it."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.train import train_prior
from skyscore import io

SETTINGS = {
    "kind": "neural",
    "pixels": 8,
    "images": {"n": 20, "shapes": {}},
    "network": {"patch": 2, "channels": [8], "blocks": 1, "attention": 0},
    "training": {"steps": 2, "batch": 4, "learning_rate": 1e-3, "warmup": 1, "decay": 0.5, "ema": 0.1}
    | {"log_sigma_mean": -1.2, "log_sigma_std": 1.5, "symmetry": "square", "compile": False},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(folder, code="a", seed=1, images=0) -> int:
    """Trains on images of a seed; returns how many checkpoints there are then."""
    made = np.random.default_rng(images).normal(size=(20, 1, 8, 8)).astype(np.float32)
    io.write_dataset(folder / "train.h5", {"date": str(np.random.default_rng().random())}, train=made)
    train_prior.main(
        folder / "train.h5", folder / "out.safetensors", name="small", settings=SETTINGS, seed=seed,
        checkpoint_every=10, precision="float32", code=code,
    )  # fmt: skip
    return len(list((folder / "checkpoints").glob("small-*.safetensors")))


def test_the_same_training_is_continued_also_when_its_images_were_made_again(folder):
    assert trained(folder) == trained(folder) == 1


@pytest.mark.parametrize("changed", [{"code": "b"}, {"images": 1}, {"seed": 2}])
def test_other_code_images_or_seeds_begin_anew(folder, changed):
    """A finished training leaves its last checkpoint. A run of changed code must not take it for its own."""
    assert trained(folder) == 1
    assert trained(folder, **changed) == 2
