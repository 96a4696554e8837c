"""One split of a training set, simulated. Writes a data set named after the split, (n, C, H, W) in prior units."""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.simulate import SIMULATORS


def main(dataset, *, split, settings, seed, code=None):
    kind = settings["kind"]
    images = SIMULATORS[kind].simulate(settings["n"], settings["pixels"], settings[kind], seed, progress=True)
    io.write_dataset(dataset, provenance(settings, seed, code=code), **{split: images})


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.output, **snakemake.params)
