"""Weights of a learned prior: those that come with the repository, or trained on a training set.

Reads weights/<prior>.safetensors (checked: they must have been made with the settings of this configuration) or the
training set; writes <prior>.safetensors. A killed training goes on from checkpoints/, keyed by settings and seed.
"""

import json
from pathlib import Path

import torch

from skyscore import io
from skyscore.diffusion.network import Denoiser
from skyscore.diffusion.training import train
from skyscore.priors import HybridPrior, MomentsPrior, NeuralPrior, PrincipalPrior, load_prior
from skyscore.priors.hybrid import HybridDenoiser, cosine_power, measured_power
from skyscore.priors.principal import PrincipalDenoiser, principal_components
from skyscore.provenance import fingerprint, provenance
from skyscore.simulate import SIMULATORS

PRIORS = {prior.kind: prior for prior in (NeuralPrior, HybridPrior, PrincipalPrior)}


def differences(made, asked, path=""):
    """Settings that differ, as "training.steps: 100, not 200"."""
    for key in sorted(made.keys() | asked.keys()):
        old, new = made.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key}: {old}, not {new}"


def take(weights, settings):
    """The shipped weights as they are; InputError if they answer to other settings."""
    _, metadata = io.read_weights(weights)
    made = json.loads(metadata.get("settings", "{}"))
    wrong = next(differences(made, settings), None)
    if wrong:
        raise io.InputError(
            f"{weights}: made with other settings ({wrong}); undo that, or --config train=true"
        )
    load_prior(weights)
    return Path(weights).read_bytes()


def gaussian_part(images, settings):
    """Variances of the cosine modes and mean: of theory where the simulator has one, else of the images themselves."""
    for kind, own in settings["images"].items():
        covariance = SIMULATORS[kind].covariance(settings["pixels"], own) if kind in SIMULATORS else None
        if covariance is not None:
            return torch.from_numpy(cosine_power(covariance)), 0.0
    mean = round(float(images.mean()), 4)
    square = settings["training"]["symmetry"] == "square"
    return torch.from_numpy(measured_power(images - mean, square)), mean


def learn(images, settings, seed, checkpoint, checkpoint_every, device):
    """A denoiser trained on images (N, C, H, W), and the record of its training."""
    torch.manual_seed(seed)
    about = settings["pixels"], round(float(images.std()), 4), settings["network"]
    if settings["kind"] == "hybrid":
        model = HybridDenoiser(*about, *gaussian_part(images, settings))
    elif settings["kind"] == "principal":
        model = PrincipalDenoiser(*about, *principal_components(images, settings["training"]["symmetry"]))
    else:
        model = Denoiser(*about)
    schedule = {**settings["training"], "checkpoint_every": checkpoint_every}
    return train(torch.from_numpy(images), model, schedule, seed, checkpoint, device)


def main(start, prior, *, name, settings, seed, checkpoint_every, device="auto", code=None):
    if str(start).endswith(".safetensors"):
        io.write_bytes(prior, take(start, settings))
        return
    checkpoint = Path("checkpoints") / f"{name}-{fingerprint([settings, seed])}.safetensors"
    images = io.read_dataset(start, "train")
    if settings["kind"] == "gaussian":
        made = {"settings": settings, "provenance": provenance(settings, seed, code=code)}
        MomentsPrior.fit(images, {key: json.dumps(value) for key, value in made.items()}).save(prior)
        return
    model, record = learn(images, settings, seed, checkpoint, checkpoint_every, io.pick_device(device))
    metadata = {"settings": settings, "record": record, "provenance": provenance(settings, seed, code=code)}
    PRIORS[settings["kind"]](model, {key: json.dumps(value) for key, value in metadata.items()}).save(prior)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
