"""One exercise: posteriors under changed conditions. Reads observations, posteriors and draws of the priors.

Writes numbers, exercise/<exercise>/<problem>/{distance_to_prior,distance_to_truth,sd,...} of each case, and the panels
of the figure: for each case the data, the truth, the posterior's mean, standard deviation and first samples; then draws
of the prior of the last case.
"""

import numpy as np
import torch

from skyscore import io
from skyscore.problems import Panel, load_problem
from skyscore.provenance import provenance
from skyscore.validation.exercises import position

SAMPLES = 4  # samples shown for each case


def row(problem, x):
    """The panels of one case: data, truth, posterior mean, standard deviation, samples."""
    draws = problem.to_physical(x.double()).numpy()[:, 0]
    look = (problem.pixel_scale, problem.unit)
    named = {"Truth": problem.truth_image(), "Posterior mean": draws.mean(0)}
    drawn = {f"Sample {k + 1}": draw for k, draw in enumerate(draws[:SAMPLES])}
    images = [Panel(v, name, *look, "unknown", problem.look, problem.scale_unit) for name, v in named.items()]
    images.append(Panel(draws.std(0), "Standard deviation", *look, "spread", "spread", problem.scale_unit))
    images += [
        Panel(v, name, *look, "unknown", problem.look, problem.scale_unit) for name, v in drawn.items()
    ]
    data = problem.panels(x)[0]
    data.title, data.group = "Data", "data"
    return [data, *images]


def main(observations, posteriors, priors, panels, numbers, *, exercise, cases, code=None):
    flat, shown = {}, []
    for name, *paths in zip(cases, observations, posteriors, priors, strict=True):
        problem = load_problem(io.read_observation(paths[0]))
        x, prior = torch.as_tensor(io.read_samples(paths[1])[0]), io.read_dataset(paths[2], "samples", 500)
        found = position(x.numpy(), prior, problem.observation.arrays["truth"])
        found["chi2_dof"] = float(np.median(problem.residuals(x)["chi2_dof"]))
        flat |= {f"exercise/{exercise}/{name}/{key}": value for key, value in found.items()}
        shown += row(problem, x)
    last = problem.to_physical(torch.as_tensor(prior[: len(shown) // len(cases) - 1])).numpy()
    look = (problem.pixel_scale, problem.unit, "unknown", problem.look, problem.scale_unit)
    shown += [Panel(image[0], "Draw of the prior", *look) for image in last]
    source = provenance(code=code)
    io.write_panels(panels, shown, source)
    io.write_numbers(numbers, flat, source, cases=cases)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        i = snakemake.input
        main(i.observations, i.posteriors, i.priors, **snakemake.output, **snakemake.params)
