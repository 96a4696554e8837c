"""What decides the numbers of a job: its seed and its settings. A job runs again when one of them changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skyscore.seeds import job_seed

from .files import Files
from .problems import Problems

__all__ = ["Parameters"]

Wildcards = Any

# of a problem's block: what comes after the observation, or is an input or a seed
AFTER_OBSERVATION = (
    *(
        "samplers",
        "n_samples",
        "simulations",
        "prior",
        "truth",
        "shares_truth_with",
        "exercise",
        "noise",
        "files",
    ),
)
# of a training: how often a checkpoint is kept, how many devices share a batch, and the arithmetic of the device do not
# identify weights
NOT_DECISIVE = ("checkpoint_every", "devices", "short", "precision")


class Parameters:
    """Creates the functions from wildcards to seeds and settings."""

    def __init__(self, config: Mapping[str, Any], problems: Problems, files: Files):
        self.config, self.problems, self.files = config, problems, files

    # ------------------------------------------------------------------ seeds

    def seed(self, rule: str) -> Callable[[Any], int]:
        """Of wildcards: a hash of the run's seed, the rule and the wildcards. No two jobs share random numbers."""
        return lambda wildcards: job_seed(self.config["seed"], rule, *wildcards)

    def seed_of_observation(self, wildcards: Wildcards) -> int:
        """Problems that share the seed share the truth and the realisation of the noise."""
        shared = self.problems[wildcards.problem]["shares_truth_with"] or wildcards.problem
        return self.seed("observe")([shared])

    def seed_of_ensemble(self, wildcards: Wildcards) -> int:
        """The same for all parts of an ensemble, which draw their own from it."""
        return self.seed("sample_ensemble")([wildcards.problem, wildcards.sampler])

    def seed_of_images(self, wildcards: Wildcards) -> int:
        """Of one split of a data set; the training set's is that of the data set itself."""
        split = [] if wildcards.split == "train" else [wildcards.split]
        return self.seed("prepare")([wildcards.dataset, *split])

    # ------------------------------------------------------------------ settings

    def dataset(self, wildcards: Wildcards) -> dict[str, Any]:
        """What decides the images of one split."""
        dataset = self.config["datasets"][wildcards.dataset]
        kind = dataset["kind"]
        return {"n": dataset[wildcards.split], "pixels": dataset["pixels"], "kind": kind, kind: dataset[kind]}

    def roles_of_images(self, wildcards: Wildcards) -> list[str]:
        return list(self.files.of_images(wildcards.dataset))

    def prior(self, wildcards: Wildcards) -> dict[str, Any]:
        """What decides the weights of a prior; its hash is kept with them."""
        prior = self.config["priors"][wildcards.prior]
        training = {key: value for key, value in prior["training"].items() if key not in NOT_DECISIVE}
        if self.config["train"] is True:
            training["steps"] = min(training["steps"], prior["training"]["short"])
        dataset = self.config["datasets"][prior["dataset"]]
        return {
            "kind": prior["kind"],
            "pixels": dataset["pixels"],
            "images": {
                "n": dataset["train"],
                dataset["kind"]: dataset[dataset["kind"]],
                **({"data": dataset["data"]} if dataset["data"] else {}),
            },
            "network": prior["network"],
            "training": training,
        }

    def problem(self, wildcards: Wildcards) -> dict[str, Any]:
        """What decides an observation.

        In place of the name of a noise model stand the settings of the noise that it was learned from.
        """
        problem = self.problems[wildcards.problem]
        own = {key: value for key, value in problem.items() if key not in AFTER_OBSERVATION}
        if problem["noise"] is None:
            return own
        dataset = self.config["datasets"][self.config["priors"][problem["noise"]]["dataset"]]
        return own | {"noise": dataset[dataset["kind"]]}

    def roles(self, wildcards: Wildcards) -> list[str]:
        return list(self.files.of_problem(wildcards.problem))

    def simulations(self, wildcards: Wildcards) -> int:
        return self.problems.simulations(wildcards.problem)

    def first_of_part(self, wildcards: Wildcards) -> int:
        """Number of the first simulation in one part of an ensemble."""
        return int(wildcards.part) * int(self.config["validation"]["chunk"])

    def validated(self, wildcards: Wildcards) -> list[str]:
        return self.problems.validated_samplers(wildcards.problem)

    def is_default(self, wildcards: Wildcards) -> bool:
        """Is this the sampler that the report leads with?"""
        return bool(self.problems.default_sampler(wildcards.problem) == wildcards.sampler)

    def has_learned_noise(self, wildcards: Wildcards) -> bool:
        return self.problems[wildcards.problem]["noise"] is not None

    def slic(self, wildcards: Wildcards) -> dict[str, Any]:
        """What decides the inference of parameters under a learned noise."""
        return {key: value for key, value in self.config["slic"].items() if key != "prior"}

    def exact(self, wildcards: Wildcards) -> dict[str, Any]:
        """What decides the tasks of the exact benchmark; which samplers are measured on them does not."""
        return {key: value for key, value in self.config["exact"].items() if key not in ("samplers", "tasks")}
