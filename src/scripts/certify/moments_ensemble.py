"""Mean squared z and residuals of the posterior samples of all simulations.

Reads observation.h5 (the instrument), simulations.h5, the ensemble, draws of the prior and, for learned noise, held-out
noise; writes moments.json.
"""

import torch

from skyscore import io
from skyscore.problems import load_problem
from skyscore.provenance import provenance
from skyscore.validation.ensemble import (
    by_origin,
    moments_of,
    noise_residuals_of,
    residuals_of,
    signal_to_noise,
)


def main(
    observation, simulations, ensemble, draws, numbers, *, problem, sampler, seed, noise=None, code=None
):
    made, (samples, _, _) = io.read_simulations(simulations), io.read_ensemble(ensemble)
    observed = load_problem(io.read_observation(observation))
    images = io.read_dataset(draws, "samples")[made.drawn :]
    images = images.reshape(len(images), -1)
    V, snr, spread = None, None, images.std(0)
    if observed.likelihood.decomposable:
        spectrum = observed.likelihood.spectrum()
        V, s = spectrum.V.double().cpu().numpy(), spectrum.s.double().cpu().numpy()
        snr = signal_to_noise(V, s, images)
    flat = {}
    for prefix, part in by_origin(made.drawn, len(samples)):
        x, y = torch.as_tensor(samples[part]), torch.as_tensor(made.data[part])
        found = moments_of(samples[part], made.truths[part], V, snr, spread)
        if noise:
            residuals = observed.residual_images(x[:, :1], y).flatten(0, 2).numpy()  # all exposures
            found |= noise_residuals_of(residuals, io.read_dataset(noise, "held_out"), seed)
        else:
            one = y.double() - observed.operator(observed.to_physical(x[:, 0].double())).flatten(1)
            found |= residuals_of(observed.chi2(x, y).numpy(), observed.noise.whiten(one).numpy())
        flat |= {f"{problem}/{sampler}/{prefix}{key}": value for key, value in found.items()}
    io.write_numbers(numbers, flat, provenance(seed=seed, code=code))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
