"""Posterior samples of one observation, by one sampler.

Reads observation.h5, a prior's weights and, where the likelihood is learned, those of a noise model (samplers that
need a density get its Gaussian surrogate); writes posterior.h5 (n, C, H, W) and posterior.fits (mean, std, samples).
"""

import torch

from skyscore import io
from skyscore.priors import load_prior
from skyscore.problems import load_problem
from skyscore.provenance import provenance
from skyscore.samplers import SAMPLERS, sample


def main(observation, prior, posterior, fits, *, noise=None, sampler, n, seed, device="auto", code=None):
    device = io.pick_device(device)
    problem = load_problem(io.read_observation(observation), device)
    network = load_prior(prior, device)
    options = {"sigma_max": network.sigma_max, "sigma_min": network.sigma_min}
    options |= {key: value for key, value in sampler.items() if key != "name"}
    scores = noise and not SAMPLERS[sampler["name"]].needs_density
    likelihood = problem.score_likelihood(load_prior(noise, device)) if scores else problem.likelihood
    samples = sample(
        sampler["name"],
        network,
        likelihood.to(dtype=torch.float32),  # the precision of the network
        n,
        generator=io.generator(seed, device),
        progress=True,
        **options,
    )
    source = provenance({"sampler": sampler, "n": n}, seed, code=code)
    io.write_samples(posterior, samples, problem, source)
    io.write_fits(fits, samples, problem, source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
