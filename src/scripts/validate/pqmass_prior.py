"""PQMass: are a prior's samples and held-out images drawn from the same distribution? Writes pqmass.json.

Reference: Lemos et al. (2024), arXiv:2402.04355: chi2 over the cells of random tessellations, p-value by permutation.
"""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.validation.pqmass import pqmass


def main(held_out, samples, numbers, *, name, settings, seed, code=None):
    generated, real = io.read_dataset(samples, "samples"), io.read_dataset(held_out, "held_out")
    keys = ("references", "retessellations", "permutations")
    result = pqmass(generated, real, **{key: settings[key] for key in keys}, seed=seed)
    flat = {f"{name}/pqmass_{key}": value for key, value in result.items() if isinstance(value, (int, float))}
    io.write_numbers(numbers, flat, provenance(settings, seed, code=code))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
