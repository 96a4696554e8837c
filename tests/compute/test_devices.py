"""A GPU is found by its device, and on a machine without one jobs do not take turns."""

import re

import torch

from skyscore.compute.devices import has_gpu
from tests.helpers.workflow import OVERLAYS


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
        file.write(
            'config["priors"]["kappa16"]["training"]["devices"] = 2\nfrom types import SimpleNamespace as N\n'
        )
        file.write('print("both:", *(gpus_of_training(N(prior=p)) for p in ("galaxies16", "kappa16")))\n')
    said = snakemake("-n", *OVERLAYS["test"], cwd=workflow).stdout
    one = int(re.search(r"^asks for (\d)$", said, re.M)[1])
    assert one == has_gpu() >= torch.cuda.is_available()
    assert re.search(r"^both: (\d) (\d)$", said, re.M).groups() == (str(one), str(2 * one))


def test_two_trainings_share_two_cores(snakemake, workflow):
    """Half of the cores each, one at the least; two threads on a cluster, where the number of cores is not known."""
    with open(workflow / "Snakefile", "a") as file:
        file.write(
            'print("threads:", *(r.resources["_cores"].value for r in workflow.rules if r.name == "train_prior"))\n'
        )
    for cores, threads in (1, 1), (2, 1), (8, 4):
        said = snakemake("-n", "--cores", str(cores), *OVERLAYS["test"], cwd=workflow).stdout
        assert int(re.search(r"^threads: (\d+)$", said, re.M)[1]) == threads, said
