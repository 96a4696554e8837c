"""Fit of posterior samples to the data. Reads observation.h5 and posterior.h5; writes residuals.json and panels.h5.

For each quantity with a value for every sample (such as chi2_dof = r' C^-1 r / number of data) the median and the 16
and 84 per cent quantiles are stored, and besides them the cost of the samples in evaluations and vector-Jacobian
products, and the numbers of the caption as text. panels.h5 holds the panels of the figure of these samples.
"""

import numpy as np
import torch

from skyscore import io
from skyscore.compute.cost import cost
from skyscore.problems import load_problem
from skyscore.provenance import provenance
from skyscore.report.captions import in_words


def main(observation, posterior, numbers, panels, *, problem, sampler, code=None):
    x, made = io.read_samples(posterior)
    x, source = torch.as_tensor(x), provenance(seed=made["provenance"]["seed"], code=code)
    observed = load_problem(io.read_observation(observation))
    found = observed.residuals(x)
    flat = {"nfe": made["nfe"], "nvjp": made["nvjp"], "cost": cost(made["nfe"], made["nvjp"])}
    for key, value in found.items():
        value = np.asarray(value, dtype=float)
        flat[key] = np.median(value)
        if value.ndim:
            flat[f"{key}_p16"], flat[f"{key}_p84"] = np.quantile(value, [0.16, 0.84])
    for key, value in made["diagnostics"].items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            flat[key] = value
    caption_numbers = in_words(flat, observed.CAPTION_NUMBERS)
    flat = {f"{problem}/{sampler}/{key}": value for key, value in flat.items()}
    io.write_numbers(numbers, flat, source, caption_numbers=caption_numbers)
    io.write_panels(panels, observed.panels(x), source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
