"""A GPU is found by its device."""

import torch

from skyscore.compute.devices import has_gpu


def test_a_gpu_is_its_device(tmp_path):
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidiactl").touch()  # the driver, without a card
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidia1").touch()
    assert has_gpu(tmp_path)


def test_torch_finds_no_gpu_that_has_no_device():
    assert has_gpu() >= torch.cuda.is_available()
