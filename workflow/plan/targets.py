"""What the targets of the Snakefile are made of: posteriors, figures, numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from snakemake.exceptions import WorkflowError

from .files import Files
from .problems import Problems

__all__ = ["Targets"]


class Targets:
    """Creates the targets of a checked configuration."""

    def __init__(self, config: Mapping[str, Any], problems: Problems, files: Files):
        self.config, self.problems, self.files = config, problems, files

    # ------------------------------------------------------------------ real objects side by side

    def family(self, target: str = "real", kind: str | None = None) -> list[str]:
        """The real lenses, whose sources are shown side by side where there is more than one."""
        return self.problems.of(target, "lens") if target == "real" and kind in (None, "lens") else []

    def of_family(self, pattern: str) -> list[str]:
        """The pattern filled with each lens of the family and its first sampler."""
        names = self.family()
        return self.problems.filled(pattern, [(name, self.problems.default_sampler(name)) for name in names])

    def with_role(self, figure: str, role: str, target: str, kind: str | None, of_kind: str) -> list[str]:
        """Figures of the real problems of a kind that come with files of a role, by their first sampler."""
        wanted = target == "real" and kind in (None, of_kind)
        return [
            f"<results>/figures/{figure}_{name}_{self.problems.default_sampler(name)}.pdf"
            for name in (self.problems.of("real", of_kind) if wanted else [])
            if role in self.files.known_roles(name)
        ]

    # ------------------------------------------------------------------ tests

    def exact_samplers(self, target: str) -> list[str]:
        return self.config["exact"]["samplers"] if target in ("simulated", "exact") else []

    def exact(self, target: str) -> list[str]:
        """The files of the exact benchmark, one per sampler and task."""
        pairs = [(s, task) for s in self.exact_samplers(target) for task in self.config["exact"]["tasks"]]
        return [f"<results>/exact/{sampler}/{task}.json" for sampler, task in pairs]

    def tests(self, problem: str, samplers: list[str]) -> list[str]:
        """All tests of the samplers on a problem, certificates included."""
        names = ("coverage", "mira", "moments", "pqmass", "certificate")
        return [f"<results>/{problem}/{sampler}/{name}.json" for sampler in samplers for name in names]

    def tests_of_samplers(self, target: str, scope: str) -> list[str]:
        """Tests and certificates of the samplers that are compared."""
        compared = self.problems.samplers_compared(target, scope)
        return [path for problem, samplers in compared.items() for path in self.tests(problem, samplers)]

    def certificates(self, target: str) -> list[str]:
        """Certificates of the validated samplers."""
        names = self.problems.certified(target)
        pairs = [(name, s) for name in names for s in self.problems.validated_samplers(name)]
        return self.problems.filled("<results>/{problem}/{sampler}/certificate.json", pairs)

    # ------------------------------------------------------------------ all of a target

    def figures(self, target: str, kind: str | None = None) -> list[str]:
        p, certified = self.problems, self.problems.certified(target, kind)
        return [
            *(f"<results>/figures/coverage_{problem}.pdf" for problem in certified),
            *(f"<results>/figures/moments_{problem}.pdf" for problem in certified),
            *(["<results>/figures/certificates.pdf"] if p.certified(target) else []),
            *(["<results>/figures/samplers_validated.pdf"] if p.certified(target) and kind is None else []),
            *(["<results>/figures/control.pdf"] if p.certified(target) else []),
            *(f"<results>/figures/prior_{prior}.pdf" for prior in p.priors(target, kind)),
            *p.each("<results>/figures/{problem}_{sampler}.pdf", target, kind),
            *(f"<results>/figures/comparison_{problem}.pdf" for problem in p.of(target, kind)),
            *(f"<results>/figures/exercise_{exercise}.pdf" for exercise in p.exercises(target)),
            *(["<results>/figures/family.pdf"] if len(self.family(target, kind)) > 1 else []),
            *self.with_role("clusters", "clusters", target, kind, "kappa"),
            *self.with_role("profile", "profile", target, kind, "radio"),
            *(["<results>/figures/slic.pdf"] if p.learned_noise_of(target) else []),
            *(["<results>/figures/exact.pdf"] if self.exact_samplers(target) else []),
        ]

    def numbers(self, target: str, kind: str | None = None) -> list[str]:
        """The files of numbers of all validating jobs."""
        p = self.problems
        return [
            *(f"<results>/priors/{prior}/pqmass.json" for prior in p.priors(target, kind)),
            *(f"<results>/{problem}/observation.json" for problem in p.of(target, kind)),
            *(f"<results>/{problem}/baselines.json" for problem in p.of(target, kind)),
            *(f"<results>/{problem}/comparison.json" for problem in p.of(target, kind)),
            *p.each("<results>/{problem}/{sampler}/residuals.json", target, kind),
            *(f"<results>/exercises/{exercise}.json" for exercise in p.exercises(target)),
            *(["<results>/slic/parameters.json"] if p.learned_noise_of(target) else []),
            *self.exact(target),
            *(
                path
                for problem in p.certified(target, kind)
                for path in self.tests(problem, p.validated_samplers(problem))
            ),
            *(["<results>/control.json"] if p.certified(target) else []),
        ]

    def products(
        self, target: str, kind: str | None = None, damaged: Callable[[], list[str]] = list
    ) -> Callable[[Any], list[str]]:
        """Everything that a target makes, as an input function.

        Arguments:
            damaged: files that were set aside and are to be made again, whoever reads them.

        Raises:
            WorkflowError: (of the function) if the target asks for problems and none is configured.
        """

        def wanted(wildcards: Any) -> list[str]:
            if not self.problems.of(target, kind) + self.exact_samplers(target):
                raise WorkflowError(f"no {target} problem is configured; add --configfile config/real.yaml")
            whole = target == self.config["target"] and kind is None
            return [
                *(damaged() if whole else []),
                *self.figures(target, kind),
                *self.problems.each("<results>/{problem}/{sampler}/posterior.fits", target, kind),
                *(["<results>/numbers.json"] if whole else self.numbers(target, kind)),
            ]

        return wanted
