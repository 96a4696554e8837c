r"""Collects all numbers of a run: numbers.json (flat), numbers.tex (macros), numbers.rst (first page of the report),
provenance.json.

A number `lens/mmps/chi2_dof` is `\skyscore{lens/mmps/chi2_dof}` in TeX.
"""

from pathlib import Path

from skyscore import io
from skyscore.provenance import provenance

CHECKS = {  # metrics of a posterior on the first page: whether it is right ...
    "certified": "certified",
    "chi2_dof": "chi2 per datum",
    "tarp_p": "coverage: p",
    "mira_z": "MIRA, s.e.",
    "z2": "mean squared z",
}
ERRORS = {
    "mean_rmse": "RMSE of the mean",
    "mean_correlation": "its correlation",
}  # ... and how close to the truth


def merged(paths):
    """One flat dictionary of numbers, and the provenance of each file.

    Raises:
        InputError: if two files give the same number.
    """
    flat, sources = {}, {}
    for path in paths:
        content = io.read_json(path)
        twice = flat.keys() & content["numbers"].keys()
        if twice:
            raise io.InputError(
                f"{path}: the number {sorted(twice)[0]!r} is already given by another job; rename one of them"
            )
        flat |= content["numbers"]
        sources[str(path)] = content["provenance"]
    return dict(sorted(flat.items())), sources


def rounded(value):
    """A number as text, with four significant digits."""
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def tex(flat):
    """One macro per number, under its unchanged key, so that no number has to be typed."""
    lines = [r"\newcommand{\skyscore}[1]{\csname skyscore@#1\endcsname}"]
    lines += [
        rf"\expandafter\newcommand\csname skyscore@{key}\endcsname{{{rounded(value)}}}"
        for key, value in flat.items()
    ]
    return "\n".join(lines) + "\n"


def shown(metric, value):
    """A number as a cell of the table."""
    return ("**no**", "yes")[value] if metric == "certified" else f"{value:.3g}"


def table(posteriors, metrics):
    """The metrics of each posterior that has any of them; cells without a measurement are blank."""
    rows = [
        (name, *(shown(metric, found[metric]) if metric in found else "" for metric in metrics))
        for name, found in posteriors.items()
        if found.keys() & metrics
    ]
    return io.csv_table(("posterior", *metrics.values()), rows) if rows else None


def summary(flat):
    """The report's first page: one line for each posterior and each prior."""
    posteriors, priors = {}, []
    for key, value in flat.items():
        match key.split("/"):
            case [problem, sampler, metric] if f"{problem}/{sampler}/chi2_dof" in flat:
                posteriors.setdefault(f"{problem} / {sampler}", {})[metric] = value
            case [prior, "pqmass_chi2_dof"]:
                priors.append((prior, f"{value:.3g}", f"{flat[f'{prior}/pqmass_p_value']:.3g}"))
    tables = (
        (
            "Are the posteriors right? *Certified* means that every test passed, on enough simulations. Coverage, MIRA "
            "and mean squared z are explained under *Validation*. Blank cells were not measured in this run.",
            table(posteriors, CHECKS),
        ),
        (
            "How close is their mean to the truth, where it is known? Units are those of the problem.",
            table(posteriors, ERRORS),
        ),
        (
            "Do the priors match their images? The table gives chi2 per degree of freedom of PQMass between draws of "
            "the prior and held-out images; it is 1 if they agree.",
            io.csv_table(("prior", "PQMass chi2 / dof", "p"), priors) if priors else None,
        ),
    )
    return "\n\n".join(f"{text}\n\n{found}" for text, found in tables if found)


def rst(flat, source):
    """The text of the report's first page."""
    dirty = " with uncommitted changes" if source["git_dirty"] else ""
    made = f"Made by revision ``{source['git_revision']}``{dirty}, configuration ``{source['config_hash']}``."
    return f"{made}\n\n{summary(flat)}\n\nAll {len(flat):,} numbers are in ``numbers.json``.\n"


def main(numbers, tex_file, table, provenance_file, *, inputs, settings, code=None):
    flat, sources = merged(map(Path, inputs))
    source = provenance(settings, code=code)
    io.write_json(numbers, flat)
    io.write_text(tex_file, tex(flat))
    io.write_text(table, rst(flat, source))
    io.write_json(provenance_file, {"run": source, "jobs": sources})


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        out = snakemake.output
        main(
            out.numbers,
            out.tex,
            out.table,
            out.provenance,
            inputs=snakemake.input.numbers,
            **snakemake.params,
        )
