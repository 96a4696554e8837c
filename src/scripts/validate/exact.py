"""One sampler on one task of the exact benchmark: numbers exact/<sampler>/<task>/<metric>, means over priors.

`ratio`: sliced Wasserstein-2 distance to exact posterior draws over that between two exact sets (1 is the floor);
`ratio_error`: its standard error; `ratio_prior<k>`: ratio for each prior; cost in evaluations and vector-Jacobian
products.
"""

import math

from tqdm import tqdm

from skyscore import io
from skyscore.compute.cost import cost
from skyscore.provenance import provenance
from skyscore.seeds import job_seed
from skyscore.validation.exact import make_prior, make_task, measure


def over_priors(found):
    """Mean of each metric over priors; the errors of independent means add in quadrature."""
    mean = {key: sum(one[key] for one in found) / len(found) for key in found[0] if key != "ratio_error"}
    mean["ratio_error"] = math.hypot(*(one["ratio_error"] for one in found)) / len(found)
    mean["cost"] = cost(mean["nfe"], mean["nvjp"])
    return mean | {f"ratio_prior{index}": one["ratio"] for index, one in enumerate(found)}


def main(numbers, *, name, task, sampler, settings, seed, code=None):
    options = {key: value for key, value in sampler.items() if key != "name"}
    budget = {key: settings[key] for key in ("repeats", "pairs")}
    found = []
    for index in tqdm(range(settings["priors"]), desc=f"{name}, {task}"):
        prior = make_prior(job_seed(seed, "prior", str(index)))
        case = make_task(task, prior, job_seed(seed, "task", task, str(index)))
        found.append(
            measure(case, sampler["name"], options, settings["samples"], **budget, seed=seed + index)
        )
    flat = {f"exact/{name}/{task}/{key}": value for key, value in over_priors(found).items()}
    io.write_numbers(numbers, flat, provenance({"sampler": sampler, **settings}, seed, code=code))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.output, **snakemake.params)
