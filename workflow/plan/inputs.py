"""What jobs read, as functions of their wildcards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .files import Files
from .problems import Problems

__all__ = ["Inputs"]

Wildcards = Any


class Inputs:
    """Creates the input functions of a checked configuration.

    Arguments:
        config: the checked configuration.
        problems, files: views of it.
        base: folder of the workflow, whose `weights` hold trained priors.
    """

    def __init__(self, config: Mapping[str, Any], problems: Problems, files: Files, base: Path = Path()):
        self.config, self.problems, self.table, self.base = config, problems, files, base

    # ------------------------------------------------------------------ images

    def start_of_prior(self, wildcards: Wildcards) -> str:
        """Weights that come with the repository, if they are there and wanted, or else the training set."""
        weights = f"weights/{wildcards.prior}.safetensors"
        if not self.config["train"] and Path(weights).exists():
            return weights
        return f"<results>/data/{self.config['priors'][wildcards.prior]['dataset']}/train.h5"

    def held_out(self, prior: str) -> str:
        """Images of the population that a prior was learned from, which its training never saw."""
        return f"<results>/data/{self.config['priors'][prior]['dataset']}/held_out.h5"

    def held_out_of_prior(self, wildcards: Wildcards) -> str:
        return self.held_out(wildcards.prior)

    def held_out_of_learned_noise(self, wildcards: Wildcards) -> str:
        """Noise that the noise model of the parameter inference never saw."""
        return self.held_out(self.config["slic"]["prior"])

    def truths(self, wildcards: Wildcards) -> str:
        """Images that truths of a problem are taken from."""
        problem = self.problems[wildcards.problem]
        if problem["truth"]:
            return f"<results>/data/{problem['truth']}/held_out.h5"
        return self.held_out(problem["prior"])

    def population(self, wildcards: Wildcards) -> str:
        """Images of the population that a problem's prior was learned from: its moments."""
        return self.held_out(self.problems[wildcards.problem]["prior"])

    def files_of_images(self, wildcards: Wildcards) -> list[str]:
        return list(self.table.of_images(wildcards.dataset).values())

    # ------------------------------------------------------------------ networks and draws

    def prior(self, wildcards: Wildcards) -> str:
        return f"<results>/priors/{self.problems[wildcards.problem]['prior']}.safetensors"

    def noise(self, wildcards: Wildcards) -> str | list[str]:
        """The learned noise model of a problem, if it has one."""
        return self.if_noise(wildcards, "<results>/priors/{}.safetensors")

    def regression(self, wildcards: Wildcards) -> str | list[str]:
        """Weights of the direct regression, for problems that train one."""
        wanted = self.problems[wildcards.problem].get("regression", 0)
        return f"<results>/{wildcards.problem}/regression.safetensors" if wanted else []

    def draws(self, wildcards: Wildcards) -> str:
        """Draws of a problem's prior: truths of the validation, and the moments of the prior."""
        return f"<results>/priors/{self.problems[wildcards.problem]['prior']}/samples.h5"

    def drawn_noise(self, wildcards: Wildcards) -> str | list[str]:
        """Draws of the noise model, where noise was learned: what a simulation from the model has as noise."""
        return self.if_noise(wildcards, "<results>/priors/{}/samples.h5")

    def held_out_noise(self, wildcards: Wildcards) -> str | list[str]:
        """Held-out noise that residuals are compared with, where noise was learned."""
        name = self.problems[wildcards.problem]["noise"]
        return self.held_out(name) if name else []

    def if_noise(self, wildcards: Wildcards, pattern: str) -> str | list[str]:
        name = self.problems[wildcards.problem]["noise"]
        return pattern.format(name) if name else []

    def tests_of_learned(self, wildcards: Wildcards) -> list[str]:
        """Tests of what a problem learned from data: its prior and its noise model."""
        problem = self.problems[wildcards.problem]
        names = [problem["prior"], problem["noise"]]
        return [f"<results>/priors/{name}/pqmass.json" for name in names if name]

    # ------------------------------------------------------------------ observations and posteriors

    def files(self, wildcards: Wildcards) -> list[str]:
        return list(self.table.of_problem(wildcards.problem).values())

    def posteriors(self, wildcards: Wildcards) -> list[str]:
        samplers = self.problems[wildcards.problem]["samplers"]
        return [f"<results>/{wildcards.problem}/{sampler}/posterior.h5" for sampler in samplers]

    def ensembles(self, wildcards: Wildcards) -> list[str]:
        """The parts of the posterior samples of all simulations, in order."""
        validation = self.config["validation"]
        total = self.problems.simulations(wildcards.problem) + validation["held_out"]
        parts = range(-(-total // validation["chunk"]))
        return [f"<results>/{wildcards.problem}/{wildcards.sampler}/ensemble_{part}.h5" for part in parts]
