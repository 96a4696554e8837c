r"""All numbers of a run: numbers.json (flat), numbers.tex (macros), numbers.rst (first page of the report),
provenance.json.

A number `lens/mmps/chi2_dof` is `\skyscore{lens/mmps/chi2_dof}` in TeX.
"""

from pathlib import Path

from skyscore import io
from skyscore.provenance import provenance

SHOWN = {  # metrics of a posterior on the first page
    "certified": "certified",
    "chi2_dof": "chi2 per datum",
    "tarp_p": "coverage: p",
    "mira_z": "MIRA, s.e.",
    "z2": "mean squared z",
    "mean_rmse": "RMSE of the mean",
    "mean_correlation": "r of the mean",
}


def merged(paths):
    """One flat dictionary of numbers, and where each file's came from."""
    flat, sources = {}, {}
    for path in paths:
        content = io.read_json(path)
        twice = flat.keys() & content["numbers"].keys()
        if twice:
            raise io.InputError(
                f"{path}: the number {sorted(twice)[0]!r} is already given by another job; rename one"
            )
        flat |= content["numbers"]
        sources[str(path)] = content["provenance"]
    return dict(sorted(flat.items())), sources


def rounded(value):
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def tex(flat):
    """One macro per number under the name of its key, so that no number is typed and no name is mangled."""
    lines = [r"\newcommand{\skyscore}[1]{\csname skyscore@#1\endcsname}"]
    lines += [
        rf"\expandafter\newcommand\csname skyscore@{key}\endcsname{{{rounded(value)}}}"
        for key, value in flat.items()
    ]
    return "\n".join(lines) + "\n"


def shown(metric, value):
    return ("**no**", "yes")[value] if metric == "certified" else f"{value:.3g}"


def summary(flat):
    """The report's first page: what each posterior and each prior comes to, one line each."""
    posteriors, priors = {}, []
    for key, value in flat.items():
        match key.split("/"):
            case [problem, sampler, metric] if metric in SHOWN:
                posteriors.setdefault((problem, sampler), {})[metric] = value
            case [prior, "pqmass_chi2_dof"]:
                priors.append((prior, rounded(value), rounded(flat[f"{prior}/pqmass_p_value"])))
    lines = [
        (*names, *(shown(metric, found[metric]) if metric in found else "" for metric in SHOWN))
        for names, found in posteriors.items()
        if "chi2_dof" in found
    ]
    tables = (("problem", "sampler", *SHOWN.values()), lines), (("prior", "PQMass chi2 / dof", "p"), priors)
    return "\n\n".join(io.csv_table(header, rows) for header, rows in tables if rows)


def rst(flat, source):
    """The text of the report's first page."""
    dirty = " with uncommitted changes" if source["git_dirty"] else ""
    made = f"Made by revision ``{source['git_revision']}``{dirty}, configuration ``{source['config_hash']}``."
    return f"{made}\n\n{summary(flat)}\n\nAll {len(flat):,} numbers are in ``numbers.json``.\n"


def main(numbers, tex_file, table, provenance_file, *, inputs, settings):
    flat, sources = merged(map(Path, inputs))
    source = provenance(settings)
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
