"""The validation ensemble of a problem: truths, and data of the same instrument with fresh noise.

Reads observation.h5, draws of the prior (the first n are truths, the others give the moments) and held-out images.
Writes simulations.h5: truths drawn from the prior, then held-out truths, their data, and an estimate from the data
alone. For learned noise, truths drawn from the prior get noise drawn from its model, held-out truths held-out noise.
"""

import numpy as np
import torch

from skyscore import io, seeds
from skyscore.problems import load_problem
from skyscore.provenance import provenance


def main(
    observation,
    draws,
    held_out,
    simulations,
    *,
    drawn_noise=None,
    held_out_noise=None,
    n,
    n_held_out,
    seed,
    code=None,
):
    problem = load_problem(io.read_observation(observation))
    drawn, others = io.read_dataset(draws, "samples"), io.read_dataset(held_out, "held_out")
    if 2 * n > len(drawn):
        raise io.InputError(
            f"{draws}: {len(drawn)} draws of the prior are too few: {n} simulations need twice as many; "
            "raise sampling.n"
        )
    if n_held_out > len(others):
        raise io.InputError(
            f"{held_out}: {len(others)} images are too few for {n_held_out} held-out simulations; lower "
            "validation.held_out or raise held_out of the data set"
        )
    chosen = np.random.default_rng(seed).choice(len(others), n_held_out, replace=False)
    truths = np.concatenate([drawn[:n], others[chosen]])
    generator, x = seeds.generator(seed), torch.as_tensor(truths)
    if drawn_noise:
        noises = (io.read_dataset(drawn_noise, "samples"), io.read_dataset(held_out_noise, "held_out"))
        parts = zip((x[:n], x[n:]), map(torch.as_tensor, noises), strict=True)
        y = torch.cat([problem.observe(part, generator, noise=noise) for part, noise in parts if len(part)])
    else:
        y = problem.observe(x, generator)
    estimates = problem.estimates(y, drawn[n:]).astype(np.float32)
    source = provenance({"n": n, "n_held_out": n_held_out}, seed, code=code)
    io.write_simulations(simulations, truths, y, estimates, n, problem.unit, source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
