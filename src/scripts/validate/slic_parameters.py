"""SLIC on parameters: fits under the learned likelihood, the measured Gaussian, and the controls.

Numbers slic/<likelihood>/<metric>: `tarp_deviation` (mean |ECP - alpha|) and `tarp_p_value`; `bias_z`, the largest over
parameters of |mean of (posterior mean - truth) / sd|; `rms_z`, 1 if calibrated; `width_ratio`, the median sd over that
of the comparison (the measured Gaussian, the exact posterior); `acceptance`; `rhat`. The file also holds the coverage
curves and the draws of one example.
"""

import numpy as np

from skyscore import io
from skyscore.compute.devices import pick_device
from skyscore.priors import load_prior
from skyscore.provenance import provenance
from skyscore.validation.parametric import Blob
from skyscore.validation.slic_parameters import (
    evaluations,
    example,
    learned_and_gaussian,
    linear_control,
    student_control,
    summary,
)


def main(noise, held_out, numbers, *, settings, seed, device="auto", code=None):
    device = pick_device(device)
    prior, images = load_prior(noise, device), io.read_dataset(held_out, "held_out")
    if len(images) < settings["simulations"] + 16:
        raise io.InputError(
            f"{held_out}: {len(images)} images are too few: {settings['simulations']} simulations need 16 more than "
            "their number; lower slic.simulations"
        )
    print(
        f"planned: {evaluations(settings):,} evaluations of the noise model, and five fits that need none",
        flush=True,
    )
    fits, truth, data = learned_and_gaussian(prior, images, settings, seed, device, progress=True)
    student, student_truth = student_control(settings, seed + 1, progress=True)
    linear, linear_truth, mean, sd = linear_control(images, settings, seed + 2, progress=True)

    gaussian, t = fits["gaussian"], student["gaussian"]
    found = {
        name: summary(one, truth, gaussian.sd.median(0).values, gaussian.sd) for name, one in fits.items()
    } | {
        f"student_{name}": summary(one, student_truth, t.sd.median(0).values, student["exact"].sd)
        for name, one in student.items()
    }
    found["linear"] = summary(linear, linear_truth, sd[0], sd)
    flat = {
        f"slic/{name}/{key}": value for name, (values, _) in found.items() for key, value in values.items()
    }
    # compared with the exact posterior itself, not only with the truths
    flat["slic/linear/mean_error"] = float(((linear.mean - mean) / sd).mean(0).abs().max())
    flat["slic/simulations"], flat["slic/evaluations"] = settings["simulations"], evaluations(settings)
    model = Blob(images.shape[-1], settings["amplitude"], settings["size"])
    curves = {name: {k: np.round(v, 5) for k, v in curve.items()} for name, (_, curve) in found.items()}
    origin = provenance(settings, seed, code=code)
    io.write_numbers(numbers, flat, origin, curves=curves, example=example(fits, truth, data, model))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
