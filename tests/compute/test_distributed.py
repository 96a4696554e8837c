"""Training shared by two processes of the CPU against the same training in one."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from skyscore import io
from skyscore.compute.distributed import averaged, parallel, share
from skyscore.priors.learning import learn_on

SETTINGS = {
    "kind": "neural",
    "pixels": 8,
    "images": {"n": 40, "shapes": {}},
    "network": {"patch": 2, "channels": [8, 16], "blocks": 1, "attention": 4},
    "training": {
        "steps": 12,
        "batch": 6,
        "learning_rate": 1e-2,
        "warmup": 2,
        "decay": 0.5,
        "ema": 0.03,
        "log_sigma_mean": -1.2,
        "log_sigma_std": 1.5,
        "symmetry": "square",
        "compile": False,
    },
}


@pytest.fixture
def dataset(tmp_path):
    images = np.random.default_rng(0).normal(size=(40, 1, 8, 8)).astype(np.float32)
    io.write_dataset(tmp_path / "train.h5", {}, train=images)
    return tmp_path / "train.h5"


def losses(path):
    with safe_open(path, framework="pt") as f:
        assert f.metadata()["step"] == "12"
        return f.get_tensor("losses")


def test_two_processes_make_the_loss_curve_of_one(tmp_path, dataset):
    runs = {}
    for devices in (1, 2):
        checkpoint = tmp_path / f"{devices}.safetensors"
        model, record = learn_on(devices, dataset, SETTINGS, 1, checkpoint, 5, "float32")
        assert record["steps"] == 12 and record["precision"] == "float32"
        runs[devices] = losses(checkpoint), torch.cat([p.flatten() for p in model.parameters()])
    (one, first), (two, second) = runs[1], runs[2]
    assert len(one) == 12 and one.std() > 1e-3
    assert torch.allclose(one, two, rtol=1e-4)
    assert (
        first - second
    ).norm() < 1e-2 * first.norm()  # Adam's first steps are signs, of small gradients too


def test_a_batch_that_cannot_be_shared_is_an_error(tmp_path, dataset, capfd):
    odd = {**SETTINGS, "training": {**SETTINGS["training"], "batch": 5}}
    with pytest.raises(RuntimeError, match="a process of 2 failed"):
        learn_on(2, dataset, odd, 1, tmp_path / "c.safetensors", 5)
    assert "a batch of 5 cannot be shared equally by 2 devices" in capfd.readouterr().out


def test_one_process_shares_with_nobody():
    model, x = torch.nn.Linear(2, 2), torch.ones(3)
    assert share(5) == (slice(None), 0) and parallel(model, "cpu") is model and averaged(x) is x
