"""Classical reconstructions of one observation, and a direct regression if the problem trains one.

Reads observation.h5, images of the prior's population and, if there is one, the weights of the regression.

Writes baselines.h5 (one image (H, W) per method, physical units, on the frame of the unknown) and, if the truth is
known, their errors: <problem>/baselines/<method>/rmse and .../correlation. If the problem holds out independent data as
a check, also the agreement of each method with these.
"""

import torch

from skyscore import io
from skyscore.baselines.regression import Regression
from skyscore.problems import Panel, load_problem
from skyscore.provenance import provenance
from skyscore.statistics.moments import moments_of
from skyscore.statistics.spectra import agreement


def main(observation, population, baselines, numbers, regression=None, *, problem, seed, code=None):
    torch.manual_seed(seed)
    observed = load_problem(io.read_observation(observation))
    found = observed.baselines(moments_of(io.read_dataset(population, "held_out")))
    if regression:
        data = observed.likelihood.spectrum().back_projected
        image = Regression.load(regression)(data[None])[0]
        found["regression"] = observed.to_physical(image)[0].numpy()
    look = (observed.pixel_scale, observed.unit, "unknown", observed.look, observed.scale_unit)
    panels = [Panel(image, name, *look) for name, image in found.items()]
    flat = {}
    truth = observed.truth_image()
    if truth is not None:
        for panel in panels:
            for key, value in agreement(panel.image, truth, observed.footprint()).items():
                flat[f"{problem}/baselines/{panel.title}/{key}"] = value
    for name, image in found.items():
        flat |= {
            f"{problem}/baselines/{name}/{key}": value for key, value in observed.checked(name, image).items()
        }
    source = provenance(seed=seed, code=code)
    io.write_panels(baselines, panels, source)
    io.write_numbers(numbers, flat, source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
