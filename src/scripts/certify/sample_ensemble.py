"""Posterior samples of the simulations of a problem, or of a part of them, by one sampler.

Reads observation.h5 (the instrument), simulations.h5 and the weights of a prior; writes ensemble_<part>.h5 (N, S, C, H,
W). Simulations are sampled in batches. Each simulation has its own random numbers, so the size of a batch or of a part
changes the run time only.
"""

import time

import numpy as np
import torch
from tqdm import tqdm

from skyscore import io, seeds
from skyscore.compute.batches import Batch
from skyscore.compute.compiled import compiled
from skyscore.compute.devices import pick_device
from skyscore.priors import load_prior
from skyscore.problems import load_problem
from skyscore.provenance import provenance
from skyscore.samplers import create, sample_problem, skipped

IMAGES = {"cpu": 256, "cuda": 4096}  # images in one batch


def budget(prior, shape, images, steps, device):
    """The planned work in one line; the time is extrapolated from one small batch."""
    x = torch.zeros(32, *shape, device=device)
    for _ in range(2):  # the first call warms up
        start = time.perf_counter()
        with torch.no_grad():
            prior.denoise(x, torch.ones(32, device=device))
    each = (time.perf_counter() - start) / 32
    least = images * steps * each
    return f"{images} samples, {steps} steps each, {1e3 * each:.2f} ms per evaluation: {least:.0f} s or more"


def drawn(together, data, generator, sampler, network, problem, n, model):
    """Posterior samples for the data, in parts that fit into memory."""
    state = generator.get_state()

    def attempt(size):
        generator.set_state(state)
        return [
            (y, sample_problem(sampler, network, problem, n, noise=model, y=y, generator=generator))
            for y in data.split(size)
        ]

    return together.run(attempt, len(data))


def main(
    observation,
    simulations,
    prior,
    ensemble,
    *,
    noise=None,
    sampler,
    n,
    seed,
    first=0,
    at_most=None,
    device="auto",
    compiling=False,
    code=None,
):
    device = pick_device(device)
    problem = load_problem(io.read_observation(observation), device)
    data, network = torch.as_tensor(io.read_simulations(simulations).data), load_prior(prior, device)
    data = data[first : None if at_most is None else first + at_most]
    model = load_prior(noise, device) if noise else None
    generator, images = skipped(seeds.generator(seed, device), first), n * len(data)
    print(budget(network, problem.shape, images, sampler["steps"], device), flush=True)
    x, ancestors, nfe, nvjp = [], [], 0.0, 0.0
    together = Batch(max(1, IMAGES.get(device, 512) // n), "simulations")
    at_once = min(n * min(together.size, len(data)), create(**sampler).batch)
    fast = compiled(network, model, images=at_once, enabled=compiling)
    with fast, tqdm(total=len(data), desc="simulations") as bar:
        for some in data.split(together.size):
            for y, samples in drawn(together, some, generator, sampler, network, problem, n, model):
                x.append(samples.x.float().cpu().numpy())
                ancestors += samples.diagnostics.get("ancestors", [])
                nfe, nvjp = nfe + samples.nfe * len(y) / len(data), nvjp + samples.nvjp * len(y) / len(data)
                bar.update(len(y))
    source = provenance({"sampler": sampler, "n": n}, seed, code=code)
    labels = np.array(ancestors) if ancestors else None
    io.write_ensemble(ensemble, np.concatenate(x), labels, source, first=first, nfe=nfe, nvjp=nvjp)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        compiling = snakemake.config["compile"]
        main(**snakemake.input, **snakemake.output, **snakemake.params, compiling=compiling)
