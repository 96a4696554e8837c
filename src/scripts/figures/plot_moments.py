"""Ranks, mean squared z and MIRA of all validated samplers of one problem.

Reads coverage.json, mira.json, moments.json and certificate.json of each; writes PDF, PNG and the report's caption.
"""

from skyscore import io, plotting
from skyscore.provenance import provenance

COLUMNS = {
    "z2": "mean squared z",
    "z2_error": "its error",
    "mira_score": "MIRA",
    "mira_reference": "calibrated",
    "mira_z": "MIRA, s.e.",
    "chi2_mean": "chi2 per datum",
    "common_bias_p": "common bias: p",
}


def table(numbers):
    """z2, MIRA and chi2 of each sampler, as a table for the caption."""
    shown = [key for key in COLUMNS if any(key in found for found in numbers.values())]
    rows = [
        (name, *(f"{found[key]:.3f}" if key in found else "" for key in shown))
        for name, found in numbers.items()
    ]
    return io.csv_table(("sampler", *(COLUMNS[key] for key in shown)), rows)


def main(coverage, mira, moments, certificates, pdf, png, caption, *, problem, samplers, code=None):
    numbers, ranks, failed, sources = {}, {}, {}, []
    for name, *paths in zip(samplers, coverage, mira, moments, certificates, strict=True):
        contents = [io.read_json(path) for path in paths]
        flat = {key: value for content in contents for key, value in content["numbers"].items()}
        numbers[name] = {key.removeprefix(f"{problem}/{name}/"): value for key, value in flat.items()}
        ranks[name] = contents[0]["curves"]["prior"]["data"]["ranks"]
        failed[name] = [c["name"] for c in contents[-1]["certificate"]["checks"] if not c["passed"]]
        sources.append(contents[-1]["provenance"])
    samples = numbers[samplers[0]]["samples"]
    figure = plotting.draw_moments(
        numbers, ranks, failed, samples, f"{problem}: ranks, mean squared z and MIRA"
    )
    io.write_figure([pdf, png], figure, provenance({"drawn_from": sources}, code=code))
    io.write_caption(caption, [table(numbers)], sources[0])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        given = {key: list(paths) for key, paths in snakemake.input.items()}
        main(**given, **snakemake.output, **snakemake.params)
