"""Two-sided MIRA of the posterior samples of all simulations.

Reads simulations.h5 and the ensemble; writes mira.json.
"""

from skyscore import io
from skyscore.provenance import provenance
from skyscore.validation.ensemble import by_origin, mira_of


def main(simulations, ensemble, numbers, *, problem, sampler, code=None):
    made, (samples, _, _) = io.read_simulations(simulations), io.read_ensemble(ensemble)
    flat = {}
    for prefix, part in by_origin(made.drawn, len(samples)):
        found = mira_of(samples[part], made.truths[part])
        flat |= {f"{problem}/{sampler}/{prefix}{key}": value for key, value in found.items()}
    io.write_numbers(numbers, flat, provenance(code=code))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
