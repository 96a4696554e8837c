r"""All numbers of a run: numbers.json (flat), numbers.tex (macros), numbers.rst (table of the report), provenance.json.

A number `lens/mmps/chi2_dof` is `\skyscore{lens/mmps/chi2_dof}` in TeX.
"""

from pathlib import Path

from skyscore import io
from skyscore.provenance import provenance


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


def rst(flat, source):
    """The table of the report's first page."""
    rows = [(key, rounded(value)) for key, value in flat.items()]
    dirty = " with uncommitted changes" if source["git_dirty"] else ""
    made = f"Made by revision ``{source['git_revision']}``{dirty}, configuration ``{source['config_hash']}``."
    return f"{made}\n\n{io.csv_table(('number', 'value'), rows)}\n"


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
