"""Figure of all reconstructions of one observation. Reads their images and numbers; writes PDF, PNG and the caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance

TAKEN = "Assumptions (``docs/explanation/reproduction.md`` compares them with the papers):"


def scores(flat):
    """RMSE and r of each reconstruction, by the title of its panel."""
    found = {}
    for key, value in flat.items():
        if key.endswith("rmse"):
            _, *path, _ = key.split("/")
            title = path[1] if path[0] == "baselines" else f"{path[0]}: mean"
            found[title] = (value, flat[f"{key.removesuffix('rmse')}correlation"])
    return found


def table(found):
    """The numbers as a table for the caption."""
    rows = [(name, f"{rmse:.3g}", f"{r:.3f}") for name, (rmse, r) in found.items()]
    return io.csv_table(("reconstruction", "RMSE", "r"), rows)


def given(content):
    """Numbers measured on a real observation before sampling, and the assumptions made."""
    measured = content["caption_numbers"]
    lines = [f"Measured: {'; '.join(measured)}."] if measured else []
    if content["assumptions"]:
        lines += [TAKEN, "\n".join(f"* {text}" for text in content["assumptions"])]
    return lines


def main(comparison, numbers, baselines, pdf, png, caption, *, problem, code=None):
    content = io.read_json(numbers)
    found = scores(io.read_json(baselines)["numbers"] | content["numbers"])
    panels = io.read_panels(comparison)
    figure = plotting.draw_comparison(panels, content["spectra"], found, f"Reconstructions of {problem}")
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    lines = [f"Unit of the RMSE: {panels[-1].unit}.", table(found)] if found else ["The truth is not known."]
    io.write_caption(caption, lines + given(content), content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
