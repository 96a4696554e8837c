"""Weights of a learned prior: those supplied with the repository, or trained on a training set.

Reads weights/<prior>.safetensors (it must have been made with the settings of this configuration) or the training set;
writes <prior>.safetensors. A killed training continues from checkpoints/, which are identified by settings, seed, code
and images.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from skyscore import io
from skyscore.config.renamed import with_new_names
from skyscore.priors import (
    FieldPrior,
    HybridPrior,
    MomentsPrior,
    NeuralPrior,
    PrincipalPrior,
    load_prior,
)
from skyscore.priors.learning import field_of, learn_on, moments_to_keep
from skyscore.provenance import fingerprint, provenance

PRIORS = {prior.kind: prior for prior in (NeuralPrior, HybridPrior, PrincipalPrior)}


def identity(settings):
    """Settings under today's names, without the precision of the training: weights of either are the same prior."""
    settings = with_new_names(settings)
    training = {key: value for key, value in settings.get("training", {}).items() if key != "precision"}
    return settings | ({"training": training} if training else {})


def differences(made, asked, path=""):
    """Settings that differ, as "training.steps: 100, not 200"."""
    for key in sorted(made.keys() | asked.keys()):
        old, new = made.get(key), asked.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from differences(old, new, f"{path}{key}.")
        elif old != new:
            yield f"{path}{key}: {old}, not {new}"


def take(weights, settings):
    """The bytes of the shipped weights.

    Raises:
        InputError: if they were made with other settings.
    """
    _, metadata = io.read_weights(weights)
    made = json.loads(metadata.get("settings", "{}"))
    wrong = next(differences(identity(made), identity(settings)), None)
    if wrong:
        raise io.InputError(
            f"{weights}: made with other settings ({wrong}); undo that change, or train with --config train=true"
        )
    load_prior(weights)
    return Path(weights).read_bytes()


def checkpoint_of(name, start, settings, seed, code):
    """The checkpoint of a training, named by all that decides its weights: it never continues that of other code.

    The images themselves are in the name, not the file: one that is made again with the same images changes nothing.
    """
    images = np.ascontiguousarray(io.read_dataset(start, "train"))
    key = fingerprint([settings, seed, code, hashlib.sha256(images).hexdigest()])
    return Path("checkpoints") / f"{name}-{key}.safetensors"


def main(start, prior, *, name, settings, seed, checkpoint_every, precision="auto", devices=1, code=None):
    if str(start).endswith(".safetensors"):
        io.write_bytes(prior, take(start, settings))
        return
    if settings["kind"] in ("gaussian", "field"):  # nothing is trained
        made = {"settings": settings, "provenance": provenance(settings, seed, code=code)}
        made = {key: json.dumps(value) for key, value in made.items()}
        images = io.read_dataset(start, "train")
        field = settings["kind"] == "field"
        found = FieldPrior(field_of(images, settings), made) if field else MomentsPrior.fit(images, made)
        found.save(prior)
        return
    checkpoint = checkpoint_of(name, start, settings, seed, code)
    model, record = learn_on(devices, start, settings, seed, checkpoint, checkpoint_every, precision)
    metadata = {"settings": settings, "record": record, "provenance": provenance(settings, seed, code=code)}
    metadata, kept = (
        {key: json.dumps(value) for key, value in metadata.items()},
        moments_to_keep(start, settings),
    )
    PRIORS[settings["kind"]](model, metadata, kept=kept).save(prior)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
