"""Figure of one prior: its samples beside held-out images. Writes PDF, PNG and the report's caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance

COLUMNS = {
    "chi2_dof": "chi2 / dof",
    "chi2_dof_error": "its scatter",
    "chi2_dof_null": "if equal",
    "p_value": "p",
}


def table(name, flat):
    """PQMass as a table for the caption."""
    found = {title: flat[f"pqmass_{key}"] for key, title in COLUMNS.items() if f"pqmass_{key}" in flat}
    return io.csv_table(("PQMass of", *found), [(name, *(f"{value:.3f}" for value in found.values()))])


def main(held_out, samples, numbers, pdf, png, caption, *, name, code=None):
    content = io.read_json(numbers)
    flat = io.short_keys(content["numbers"])
    generated, real = io.read_dataset(samples, "samples", 36), io.read_dataset(held_out, "held_out", 36)
    shown = {key: flat[f"pqmass_{key}"] for key in ("chi2_dof", "p_value")}
    figure = plotting.draw_prior(generated, real, shown, name)
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    io.write_caption(caption, [table(name, flat)], content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
