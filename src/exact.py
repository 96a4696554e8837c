"""A sampler against posteriors known in closed form. Reads nothing; writes <sampler>.json.

For each task the mean over priors of (sliced Wasserstein-2 distance to exact draws / the same between exact draws),
with its standard error, and the cost in evaluations and vector-Jacobian products per sample.
"""

import math

from tqdm import tqdm

from skyscore import io
from skyscore.provenance import provenance
from skyscore.validation import exact


def main(numbers, *, name, sampler, settings, seed, code=None):
    options = {key: value for key, value in sampler.items() if key != "name"}
    priors = [exact.make_prior(seed + k) for k in range(settings["priors"])]
    flat = {}
    for task in tqdm(settings["tasks"], desc=name):
        found = []
        for k, prior in enumerate(priors):
            one = exact.make_task(task, prior, seed + k)
            found.append(
                exact.measure(
                    one, sampler["name"], options, settings["n"], settings["repeats"], settings["pairs"], seed + k
                )
            )
        for key in found[0]:
            values = [one[key] for one in found]
            flat[f"exact/{name}/{task}/{key}"] = sum(values) / len(values)
        errors = [one["ratio_error"] for one in found]
        flat[f"exact/{name}/{task}/ratio_error"] = math.sqrt(sum(e**2 for e in errors)) / len(errors)
    io.write_numbers(numbers, flat, provenance({"sampler": sampler, **settings}, seed, code=code))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.output, **snakemake.params)
