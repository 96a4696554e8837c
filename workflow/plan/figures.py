"""The figures of a run: what each is drawn from, and where it stands in the report; figures.smk makes their rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .inputs import Inputs
from .parameters import Parameters
from .problems import Problems
from .targets import Targets

__all__ = ["Figure", "figures"]

POSTERIOR = "<results>/{problem}/{sampler}"


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        name: of the rule without `plot_`, and of the caption in workflow/report.
        file: of the figure in <results>/figures, without its ending; its wildcards are those of the rule.
        message: said when it is drawn.
        inputs: what its script reads, by name: paths, or functions of wildcards.
        category, subcategory, labels: its place in the report.
        params: what else its script is told.
        outputs: written beside the figure and its caption.
        memory: of its job [MB].
    """

    name: str
    file: str
    message: str
    inputs: Mapping[str, Any]
    category: str
    labels: Mapping[str, str]
    subcategory: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    memory: int = 1000

    @property
    def log(self) -> str:
        """Name of the log and of the benchmark, below their folders, without an ending."""
        if "{" not in self.file:
            return f"plot_{self.name}"
        return f"plot_{self.name}/{self.file.removeprefix(f'{self.name}_')}"


def figures(
    target: str, problems: Problems, inputs: Inputs, targets: Targets, parameters: Parameters
) -> list[Figure]:
    """All figures, for a run of this target."""
    one = {"problem": "{problem}", "sampler": "{sampler}"}
    family = targets.family()
    validated = {"problem": "{problem}", "samplers": parameters.validated}
    return [
        Figure(
            "prior",
            "prior_{prior}",
            "Drawing the prior {wildcards.prior}",
            {
                "held_out": inputs.held_out_of_prior,
                "samples": "<results>/priors/{prior}/samples.h5",
                "numbers": "<results>/priors/{prior}/pqmass.json",
            },
            "Priors",
            {"prior": "{prior}", "figure": "samples and held-out images"},
            params={"name": "{prior}"},
        ),
        Figure(
            "posterior",
            "{problem}_{sampler}",
            "Drawing the posterior of {wildcards.problem} by {wildcards.sampler}",
            {"panels": f"{POSTERIOR}/panels.h5", "numbers": f"{POSTERIOR}/residuals.json"},
            "Posteriors",
            one,
            "{problem}",
            one,
        ),
        Figure(
            "comparison",
            "comparison_{problem}",
            "Drawing the reconstructions of {wildcards.problem}",
            {
                "comparison": "<results>/{problem}/comparison.h5",
                "numbers": "<results>/{problem}/comparison.json",
                "baselines": "<results>/{problem}/baselines.json",
            },
            "Comparisons",
            {"problem": "{problem}", "figure": "reconstructions"},
            params={"problem": "{problem}"},
        ),
        Figure(
            "exercise",
            "exercise_{exercise}",
            "Drawing the exercise {wildcards.exercise}",
            {
                "panels": "<results>/exercises/{exercise}.h5",
                "numbers": "<results>/exercises/{exercise}.json",
            },
            "Exercises",
            {"exercise": "{exercise}", "figure": "posteriors and prior"},
            params={"exercise": "{exercise}"},
        ),
        Figure(
            "slic",
            "slic",
            "Drawing the inference of parameters under a learned noise",
            {"numbers": "<results>/slic/parameters.json"},
            "Learned likelihood",
            {"figure": "parameters under a learned noise"},
        ),
        Figure(
            "exact",
            "exact",
            "Drawing the exact benchmark",
            {"numbers": targets.exact("simulated")},
            "Exact benchmark",
            {"figure": "distance to the exact posterior"},
        ),
        # real objects side by side, and against measurements that the data do not hold
        Figure(
            "family",
            "family",
            "Drawing the sources of all lenses",
            {
                "posteriors": targets.of_family(f"{POSTERIOR}/posterior.h5"),
                "numbers": targets.of_family("<results>/{problem}/observation.json"),
            },
            "Posteriors",
            {"problem": "all lenses", "sampler": "each its first"},
            params={"problems": family, "samplers": [problems.default_sampler(name) for name in family]},
        ),
        Figure(
            "clusters",
            "clusters_{problem}_{sampler}",
            "Drawing {wildcards.problem} at clusters by {wildcards.sampler}",
            {
                "observation": "<results>/{problem}/observation.h5",
                "posterior": f"{POSTERIOR}/posterior.h5",
                "baselines": "<results>/{problem}/baselines.h5",
                "panels": f"{POSTERIOR}/panels.h5",
                "numbers": f"{POSTERIOR}/residuals.json",
            },
            "Posteriors",
            {"problem": "{problem}", "sampler": "{sampler}, at clusters"},
            "{problem}",
            one,
            memory=2000,
        ),
        Figure(
            "profile",
            "profile_{problem}_{sampler}",
            "Drawing the radial profile of {wildcards.problem} by {wildcards.sampler}",
            {
                "comparison": "<results>/{problem}/comparison.h5",
                "curves": "<results>/{problem}/comparison.json",
                "numbers": f"{POSTERIOR}/residuals.json",
            },
            "Posteriors",
            {"problem": "{problem}", "sampler": "{sampler}, radial profile"},
            "{problem}",
            one,
            memory=2000,
        ),
        # tests that posteriors went through
        Figure(
            "coverage",
            "coverage_{problem}",
            "Drawing the coverage of {wildcards.problem}",
            {"numbers": problems.by_validated(f"{POSTERIOR}/coverage.json")},
            "Validation",
            {"problem": "{problem}", "figure": "coverage"},
            "{problem}",
            validated,
        ),
        Figure(
            "moments",
            "moments_{problem}",
            "Drawing ranks, mean squared z and MIRA of {wildcards.problem}",
            {
                "coverage": problems.by_validated(f"{POSTERIOR}/coverage.json"),
                "mira": problems.by_validated(f"{POSTERIOR}/mira.json"),
                "moments": problems.by_validated(f"{POSTERIOR}/moments.json"),
                "certificates": problems.by_validated(f"{POSTERIOR}/certificate.json"),
            },
            "Validation",
            {"problem": "{problem}", "figure": "ranks, z and MIRA"},
            "{problem}",
            validated,
        ),
        Figure(
            "samplers",
            "samplers_{scope}",
            "Drawing {wildcards.scope} samplers side by side",
            {
                "tests": lambda wildcards: targets.tests_of_samplers(target, wildcards.scope),
                "exact": targets.exact(target),
            },
            "Validation",
            {"figure": "{scope} samplers side by side"},
            params={"order": lambda wildcards: problems.samplers_compared(target, wildcards.scope)},
            outputs={"numbers": "<results>/samplers_{scope}.json"},
        ),
        Figure(
            "certificates",
            "certificates",
            "Drawing all certificates",
            {"certificates": targets.certificates(target), "control": "<results>/control.json"},
            "Validation",
            {"figure": "all certificates"},
        ),
        Figure(
            "control",
            "control",
            "Drawing the test of the tests",
            {"numbers": "<results>/control.json"},
            "Validation",
            {"figure": "the test of the tests"},
        ),
    ]
