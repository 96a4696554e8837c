"""Posterior samples of one observation, drawn by one sampler.

Reads observation.h5, the weights of a prior and, if the likelihood is learned, those of a noise model (samplers that
need a density get its Gaussian surrogate). Writes posterior.h5 (n, C, H, W) and posterior.fits (mean, std, samples),
both with the provenance of the observation: its settings, and the checksums of its source files.
"""

from skyscore import io, seeds
from skyscore.compute.compiled import compiled
from skyscore.compute.devices import pick_device
from skyscore.priors import load_prior
from skyscore.problems import load_problem
from skyscore.provenance import provenance
from skyscore.samplers import create, sample_problem


def main(
    observation,
    prior,
    posterior,
    fits,
    *,
    noise=None,
    sampler,
    n,
    seed,
    name=None,
    device="auto",
    compiling=False,
    code=None,
):
    device = pick_device(device)
    problem = load_problem(io.read_observation(observation), device)
    network = load_prior(prior, device)
    model, generator = load_prior(noise, device) if noise else None, seeds.generator(seed, device)
    with compiled(network, model, images=min(n, create(**sampler).batch), enabled=compiling):
        samples = sample_problem(
            sampler, network, problem, n, noise=model, generator=generator, progress=True
        )
    made = io.read_provenance(observation)
    observed = {key: made[key] for key in ("settings_hash", "settings", "files", "date") if key in made}
    source = provenance({"sampler": sampler, "n": n}, seed, code=code, problem=name, observation=observed)
    io.write_samples(posterior, samples, problem, source)
    io.write_fits(fits, samples, problem, source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        compiling = snakemake.config["compile"]
        main(**snakemake.input, **snakemake.output, **snakemake.params, compiling=compiling)
