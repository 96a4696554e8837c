"""What a finished run says: where to look, and how its posteriors did. Standard library only: Snakemake imports it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["headlines", "report_command"]

# of a posterior, at most three: what each is called, and how it is written
METRICS: dict[str, tuple[str, Callable[[float], object]]] = {
    "chi2_dof": ("chi2 per datum {:.3f}", float),
    "tarp_p": ("coverage p {:.2f}", float),
    "certified": ("{}", lambda value: "certified" if value else "not certified"),
}


def headlines(
    numbers: Mapping[str, float], results: str | Path, report: str, leads: Mapping[str, str]
) -> str:
    """The last lines of a run.

    Arguments:
        numbers: all of the run's, by `<problem>/<sampler>/<metric>`.
        results: folder of the results.
        report: the command that makes the report.
        leads: the first sampler of each problem.
    """
    lines = []
    for problem, sampler in leads.items():
        found = [
            text.format(kind(numbers[f"{problem}/{sampler}/{metric}"]))
            for metric, (text, kind) in METRICS.items()
            if f"{problem}/{sampler}/{metric}" in numbers
        ]
        if f"{problem}/einstein_radius_arcsec" in numbers:
            found.append(f"Einstein radius {numbers[f'{problem}/einstein_radius_arcsec']:.3f} arcsec")
        if found:
            lines.append(f"  {f'{problem} / {sampler}':<24} {', '.join(found)}")
    for sampler, ratios in distances(numbers).items():
        mean = sum(ratios) / len(ratios)
        lines.append(
            f"  {f'exact / {sampler}':<24} {mean:.2f} times the least distance, mean of {len(ratios)} tasks"
        )
    counted = f"{len(numbers):,} numbers in {results}/numbers.json, figures" if numbers else "Figures"
    return "\n".join([f"Done. {counted} in {results}/figures", *lines, f"Report: {report}"])


def distances(numbers: Mapping[str, float]) -> dict[str, list[float]]:
    """Distance to the exact posterior over the floor, of each task, by sampler; the nearest sampler first."""
    found: dict[str, list[float]] = {}
    for key, value in numbers.items():
        match key.split("/"):
            case ["exact", sampler, _, "ratio"]:
                found.setdefault(sampler, []).append(value)
    return dict(sorted(found.items(), key=lambda item: sum(item[1]) / len(item[1])))


def report_command(
    results: str | Path, files: Sequence[str], settings: Mapping[str, object], targets: Iterable[str] = ()
) -> str:
    """The command for the report of a run with these configuration files, settings of the command line and targets."""
    words = ["snakemake", "--report", f"{results}/report.html"]
    words += ["--configfile", *files] if files else []
    words += ["--config", *(f"{key}={value}" for key, value in settings.items())] if settings else []
    words += ["--", *sorted(targets)] if targets else []
    return shlex.join(words)
