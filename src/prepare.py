"""One split of a training set, simulated. Writes a data set named after the split, (n, C, H, W) in prior units."""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.simulate import SIMULATORS


def of_split(settings, split):
    """A setting that has a value for each split is given as that of this split."""
    return {k: v.get(split, v) if isinstance(v, dict) else v for k, v in settings.items()}


def main(dataset, *, split, settings, seed, code=None):
    kind, n, pixels = settings["kind"], settings["n"], settings["pixels"]
    images = SIMULATORS[kind].simulate(n, pixels, of_split(settings[kind], split), seed, progress=True)
    io.write_dataset(dataset, provenance(settings, seed, code=code), **{split: images})


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.output, **snakemake.params)
