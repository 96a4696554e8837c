"""A GPU is found by its device, and on a machine without one jobs do not take turns."""

import re

import torch
from conftest import OVERLAYS

from skyscore.hardware import has_gpu


def test_a_gpu_is_its_device(tmp_path):
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidiactl").touch()  # the driver, without a card
    assert not has_gpu(tmp_path)
    (tmp_path / "nvidia1").touch()
    assert has_gpu(tmp_path)


def test_jobs_ask_for_a_gpu_where_there_is_one(snakemake, workflow):
    """In a dry run, which is local: of this machine's own GPU; what a cluster is asked for, tests/slurm knows."""
    with open(workflow / "Snakefile", "a") as file:
        file.write('print("asks for", one_gpu(None))\n')
    said = snakemake("-n", *OVERLAYS["test"], cwd=workflow).stdout
    assert int(re.search(r"^asks for (\d)$", said, re.M)[1]) == has_gpu() >= torch.cuda.is_available()
