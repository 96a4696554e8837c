"""Trains the direct regression among the baselines. Reads observation.h5 and images drawn from the prior; writes
weights.

The images are drawn from the learned prior and are not the held-out ones, because the truth of a simulation is a
held-out image.
"""

import json

import torch

from skyscore import io
from skyscore.baselines.regression import train_regression
from skyscore.baselines.wiener import cosine_covariance
from skyscore.compute.devices import pick_device
from skyscore.problems import load_problem
from skyscore.provenance import provenance
from skyscore.statistics.moments import moments_of


def main(observation, images, network, *, steps, seed, device="auto", code=None):
    device = pick_device(device)
    spectrum = load_problem(io.read_observation(observation), device).likelihood.spectrum()
    x = io.read_dataset(images, "samples")
    covariance = cosine_covariance(moments_of(x), x.shape[-1])
    model = train_regression(torch.from_numpy(x), spectrum, covariance, steps, seed, progress=True)
    model.cpu().save(network, {"provenance": json.dumps(provenance({"steps": steps}, seed, code=code))})


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
