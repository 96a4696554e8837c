"""One split of a training set, simulated or cut from downloaded files.

Writes a data set named after the split, (n, C, H, W) in prior units.
"""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.simulate import SIMULATORS


def of_split(settings, split):
    """Settings in which each setting that differs between splits has the value of this split."""
    return {k: v.get(split, v) if isinstance(v, dict) else v for k, v in settings.items()}


def main(dataset, *, split, settings, seed, files=(), roles=(), code=None):
    kind, n, pixels = settings["kind"], settings["n"], settings["pixels"]
    simulator, own = SIMULATORS[kind], of_split(settings[kind], split)
    if roles:
        images = simulator.cut(n, pixels, own, dict(zip(roles, files, strict=True)), split, seed)
    else:
        images = simulator.simulate(n, pixels, own, seed, progress=True)
    io.write_dataset(dataset, provenance(settings, seed, code=code, files=list(files)), **{split: images})


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        files = list(snakemake.input.get("files", []))
        main(**snakemake.output, **snakemake.params, files=files)
