"""PQMass of pooled posterior samples, one per simulation, against the prior. Writes pqmass.json.

If the truths are drawn from the prior, the mixture of the posteriors is the prior. No number is given for fewer than
256 simulations.
"""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.validation.ensemble import pooled_of


def main(simulations, ensemble, draws, numbers, *, problem, sampler, seed, code=None):
    made, (samples, _, _) = io.read_simulations(simulations), io.read_ensemble(ensemble)
    others = io.read_dataset(draws, "samples")[made.drawn :]  # draws that are not truths
    found = pooled_of(samples[: made.drawn], others, seed)
    flat = {f"{problem}/{sampler}/{key}": value for key, value in found.items()}
    io.write_numbers(numbers, flat, provenance(seed=seed, code=code))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
