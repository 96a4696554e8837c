"""Images drawn from a learned prior. Reads its weights; writes samples.h5, (n, C, H, W) in prior units."""

from skyscore import io, seeds
from skyscore.compute.devices import pick_device
from skyscore.priors import load_prior
from skyscore.provenance import provenance


def main(prior, samples, *, n, steps, seed, device="auto", code=None):
    device = pick_device(device)
    images = load_prior(prior, device).sample(
        n, generator=seeds.generator(seed, device), steps=steps, progress=True
    )
    io.write_dataset(samples, provenance({"n": n, "steps": steps}, seed, code=code), samples=images)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
