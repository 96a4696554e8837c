"""Coverage (TARP) of the posterior samples of all simulations.

Reads simulations.h5 and the ensemble; writes coverage.json, including the curves. Truths drawn from the prior test the
sampler. Held-out truths (numbers named held_out_...) test the prior as well.
"""

from skyscore import io
from skyscore.compute.cost import cost
from skyscore.provenance import provenance
from skyscore.validation.ensemble import by_origin, coverage_of


def main(simulations, ensemble, numbers, *, problem, sampler, seed, code=None):
    made, (samples, ancestry, about) = io.read_simulations(simulations), io.read_ensemble(ensemble)
    flat = {"simulations": made.drawn, "samples": samples.shape[1]}
    flat |= {"ensemble_nfe": about["nfe"], "ensemble_nvjp": about["nvjp"]}
    flat["ensemble_cost"] = cost(about["nfe"], about["nvjp"])
    flat["ensemble_seconds"] = about["seconds"] / (samples.shape[0] * samples.shape[1])
    curves = {}
    for prefix, part in by_origin(made.drawn, len(samples)):
        labels = None if ancestry is None else ancestry[part]
        found, drawn = coverage_of(samples[part], made.truths[part], made.estimates[part], labels, seed)
        flat |= {f"{prefix}{key}": value for key, value in found.items()}
        curves[prefix or "prior"] = drawn
    flat = {f"{problem}/{sampler}/{key}": value for key, value in flat.items()}
    io.write_numbers(numbers, flat, provenance(seed=seed, code=code), curves=curves)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
