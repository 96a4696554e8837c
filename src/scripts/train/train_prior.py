"""Weights of a learned prior: those that come with the repository, or trained on a training set.

Reads weights/<prior>.safetensors (checked: they must have been made with the settings of this configuration) or the
training set; writes <prior>.safetensors. A killed training goes on from checkpoints/, keyed by settings and seed.
"""

import json
from pathlib import Path

from skyscore import io
from skyscore.priors import (
    FieldPrior,
    HybridPrior,
    MomentsPrior,
    NeuralPrior,
    PrincipalPrior,
    load_prior,
)
from skyscore.priors.learning import field_of, learn_on
from skyscore.provenance import fingerprint, provenance

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


def main(start, prior, *, name, settings, seed, checkpoint_every, devices=1, code=None):
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
    checkpoint = Path("checkpoints") / f"{name}-{fingerprint([settings, seed])}.safetensors"
    model, record = learn_on(devices, start, settings, seed, checkpoint, checkpoint_every)
    metadata = {"settings": settings, "record": record, "provenance": provenance(settings, seed, code=code)}
    PRIORS[settings["kind"]](model, {key: json.dumps(value) for key, value in metadata.items()}).save(prior)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
