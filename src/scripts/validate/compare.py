"""All reconstructions of one observation and its truth. Reads observation, baselines and the samplers' posteriors.

Writes comparison.h5 (panels: data, truth, baselines, posterior means, standard deviations; physical units) and
comparison.json: <problem>/<sampler>/mean_{rmse,correlation,sd} of the posterior means and the samples' spread, and the
power spectrum of each reconstruction with its correlation with the truth by scale. For real data also the numbers
measured on the observation, as text, and the assumptions.
"""

import numpy as np
import torch

from skyscore import io
from skyscore.problems import Panel, load_problem
from skyscore.provenance import provenance
from skyscore.report.captions import in_words
from skyscore.statistics.spectra import agreement, spectra


def main(observation, baselines, posteriors, comparison, numbers, *, problem, samplers, code=None):
    observed = load_problem(io.read_observation(observation))
    inside = observed.footprint()
    look = {"scale": observed.pixel_scale, "unit": observed.unit, "scale_unit": observed.scale_unit}
    x = {
        name: torch.as_tensor(io.read_samples(path)[0])
        for name, path in zip(samplers, posteriors, strict=True)
    }
    draws = {name: observed.to_physical(samples.double()).numpy()[:, 0] for name, samples in x.items()}

    truth = observed.truth_image()
    images = {} if truth is None else {"Truth": truth}
    classical = {panel.title: panel.image for panel in io.read_panels(baselines)}
    images |= classical
    images |= {f"{name}: mean": samples.mean(0) for name, samples in draws.items()}
    panels = [
        Panel(np.where(inside, v, np.nan), name, group="unknown", kind=observed.look, **look)
        for name, v in images.items()
    ]
    for name, samples in draws.items():
        spread = np.where(inside, samples.std(0), np.nan)
        panels.append(Panel(spread, f"{name}: standard deviation", group="spread", kind="spread", **look))
    data = observed.panels(next(iter(x.values())))[0]
    data.group = "data"

    flat, curves = {}, {}
    for name, samples in draws.items():
        flat[f"{problem}/{name}/mean_sd"] = float(np.sqrt(samples.var(0)[inside].mean()))
        if truth is not None:
            found = agreement(samples.mean(0), truth, inside)
            flat |= {f"{problem}/{name}/mean_{key}": value for key, value in found.items()}
        found = spectra(samples * inside, None if truth is None else truth * inside, observed.pixel_scale)
        low, middle, high = np.quantile(found["power"], [0.16, 0.5, 0.84], axis=0)
        curves[f"{name}: samples"] = {"k": found["k"], "power": middle, "low": low, "high": high}
    for name, image in images.items():
        found = spectra(image[None] * inside, None if truth is None else truth * inside, observed.pixel_scale)
        curves[name] = {"k": found["k"], **{key: v[0] for key, v in found.items() if key != "k"}}
    source = provenance(code=code)
    io.write_panels(comparison, [data, *panels], source)
    attrs = observed.observation.attrs
    further = {
        "caption_numbers": in_words(attrs.get("numbers", {}), observed.CAPTION_NUMBERS),
        "assumptions": attrs.get("assumptions", []),
    } | observed.curves({name: image[None] for name, image in classical.items()} | draws)
    io.write_numbers(numbers, flat, source, spectra=curves, **further)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        i = snakemake.input
        main(i.observation, i.baselines, i.posteriors, **snakemake.output, **snakemake.params)
