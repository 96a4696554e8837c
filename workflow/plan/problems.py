"""The problems of a configuration: which belong to a target, which samplers each has, which priors they use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from skyscore.config.settings import is_real

__all__ = ["Problems"]


class Problems:
    """Creates the view of a checked configuration by its problems.

    A target is "simulated", "real" or "exact". Exercises show one problem under changed circumstances; they are apart.
    """

    def __init__(self, config: Mapping[str, Any]):
        self.config = config

    def __getitem__(self, name: str) -> dict[str, Any]:
        problem: dict[str, Any] = self.config["problems"][name]
        return problem

    def of(self, target: str, kind: str | None = None) -> list[str]:
        """Names of the problems of a target, of one kind if it is given; `exact` has none."""
        if target == "exact":
            return []
        return sorted(
            name
            for name, problem in self.config["problems"].items()
            if is_real(problem) == (target == "real")
            and problem["exercise"] is None
            and kind in (None, problem["kind"])
        )

    def certified(self, target: str, kind: str | None = None) -> list[str]:
        """Problems that get certificates: the simulated ones."""
        return self.of(target, kind) if target == "simulated" else []

    # ------------------------------------------------------------------ samplers

    def default_sampler(self, name: str) -> str:
        """The sampler that the report leads with."""
        return str(self[name]["samplers"][0])

    def validated_samplers(self, name: str) -> list[str]:
        """Samplers whose certificate belongs to the default run: the default one, and those asked for by name."""
        wanted = {self.default_sampler(name), *self.config["validation"]["samplers"]}
        return [sampler for sampler in self[name]["samplers"] if sampler in wanted]

    def samplers_compared(self, target: str, scope: str) -> dict[str, list[str]]:
        """Samplers of each certified problem; scope: "validated", those of the default run, or "all"."""
        return {
            name: self.validated_samplers(name) if scope == "validated" else self[name]["samplers"]
            for name in self.certified(target)
        }

    def simulations(self, name: str) -> int:
        """Simulations, drawn from the prior, behind the certificates of a problem."""
        return int(self[name]["simulations"] or self.config["validation"]["simulations"])

    # ------------------------------------------------------------------ exercises

    def exercises(self, target: str) -> list[str]:
        """Names of the exercises, which are simulated."""
        if target != "simulated":
            return []
        return sorted({problem["exercise"] for problem in self.config["problems"].values()} - {None})

    def cases(self, exercise: str) -> list[str]:
        """Problems of an exercise in the order of the configuration, after those whose truth and noise they share."""
        own = [name for name, problem in self.config["problems"].items() if problem["exercise"] == exercise]
        shared = [self[name]["shares_truth_with"] for name in own]
        return list(dict.fromkeys([*(name for name in shared if name and name not in own), *own]))

    def labels(self, exercise: str) -> dict[str, str]:
        """What tells the cases of an exercise apart: their names, and the settings that differ between them."""
        cases = {name: self[name] for name in self.cases(exercise)}
        apart = ("samplers", "n_samples", "simulations", "shares_truth_with", "exercise")
        first = next(iter(cases.values()))
        keys = [
            key
            for key in first
            if key not in apart and any(case[key] != first[key] for case in cases.values())
        ]

        def shown(value: Any) -> Any:
            return f"{value:g}" if isinstance(value, float) else value  # 30, also where a default says 30.0

        return {
            name: ", ".join([name, *(f"{key} {shown(case[key])}" for key in keys if case[key] is not None)])
            for name, case in cases.items()
        }

    # ------------------------------------------------------------------ priors

    def learned_noise_of(self, target: str) -> list[str]:
        """The noise model under which parameters are inferred, if the target has it."""
        prior = self.config["slic"]["prior"]
        return [prior] if target == "simulated" and prior else []

    def priors(self, target: str, kind: str | None = None) -> list[str]:
        """Names of the priors of a target's problems, learned models of their noise among them."""
        used = {self[name][key] for name in self.of(target, kind) for key in ("prior", "noise")}
        return sorted((used | set(self.learned_noise_of(target))) - {None})

    def pixels(self, name: str) -> int:
        """Pixels on a side of a problem's unknown image."""
        return int(self.config["datasets"][self.config["priors"][self[name]["prior"]]["dataset"]]["pixels"])

    # ------------------------------------------------------------------ patterns

    def filled(self, pattern: str, pairs: Iterable[tuple[str, str]]) -> list[str]:
        """The pattern filled with pairs of a problem and a sampler, and with the problem's prior."""
        return [
            pattern.replace("{problem}", name)
            .replace("{sampler}", sampler)
            .replace("{prior}", self[name]["prior"])
            for name, sampler in pairs
        ]

    def each(self, pattern: str, target: str, kind: str | None = None) -> list[str]:
        """The pattern filled with every problem and each of its samplers."""
        names = self.of(target, kind)
        return self.filled(pattern, [(name, s) for name in names for s in self[name]["samplers"]])

    def by_validated(self, pattern: str) -> Callable[[Any], list[str]]:
        """Of wildcards: the pattern filled with their problem and each of its validated samplers."""

        def filled(wildcards: Any) -> list[str]:
            name = wildcards.problem
            return self.filled(pattern, [(name, sampler) for sampler in self.validated_samplers(name)])

        return filled

    def by_case(self, pattern: str) -> Callable[[Any], list[str]]:
        """Of wildcards: the pattern filled with each case of their exercise, its prior and its first sampler."""

        def filled(wildcards: Any) -> list[str]:
            names = self.cases(wildcards.exercise)
            return self.filled(pattern, [(name, self.default_sampler(name)) for name in names])

        return filled
