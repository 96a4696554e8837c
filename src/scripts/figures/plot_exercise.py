"""Figure of one exercise. Reads its panels and numbers; writes PDF, PNG and the report's caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance

SHOWN = ("rmse", "sd", "error_over_sd", "distance_to_prior", "distance_to_truth", "chi2_dof")


def table(numbers, cases):
    """The numbers as a table for the caption, one line per case."""
    rows = [(label, *(f"{numbers[name][key]:.3g}" for key in SHOWN)) for name, label in cases.items()]
    return io.csv_table([name.replace("_", " ") for name in ("case", *SHOWN)], rows)


def main(panels, numbers, pdf, png, caption, *, exercise, code=None):
    content = io.read_json(numbers)
    found = {name: {} for name in content["cases"]}
    for key, value in content["numbers"].items():
        _, _, name, quantity = key.split("/")
        found[name][quantity] = value
    figure = plotting.draw_exercise(io.read_panels(panels), content["cases"], found)
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    io.write_caption(caption, [table(found, content["cases"])], content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
