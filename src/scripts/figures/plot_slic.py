"""Figure of SLIC on parameters. Writes PDF, PNG and the report's table."""

from skyscore import io, plotting
from skyscore.plotting.slic import LABELS
from skyscore.provenance import provenance

COLUMNS = ("tarp_deviation", "bias_z", "rms_z", "width_ratio", "acceptance")


def table(flat):
    """The numbers as a table, one line per likelihood."""
    rows = [
        (label, *(f"{flat[f'slic/{name}/{key}']:.3f}" for key in COLUMNS))
        for name, label in LABELS.items()
        if f"slic/{name}/tarp_deviation" in flat
    ]
    return io.csv_table([key.replace("_", " ") for key in ("likelihood", *COLUMNS)], rows)


def main(numbers, pdf, png, caption, *, code=None):
    content = io.read_json(numbers)
    flat = content["numbers"]
    figure = plotting.draw_slic(flat, content["curves"], content["example"])
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    count, calls = flat["slic/simulations"], flat["slic/evaluations"]
    first = f"{count:.0f} simulations, {calls:,.0f} evaluations of the noise model."
    io.write_text(caption, f"{first}\n\n{table(flat)}\n")


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
