"""Figure of the exact benchmark: every sampler on every task. Writes PDF, PNG and the report's table."""

from skyscore import io, plotting
from skyscore.provenance import provenance


def table(flat):
    """The ratios as a table, one line per sampler and task."""
    rows = []
    for key, value in flat.items():
        if key.endswith("/ratio"):
            _, sampler, task, _ = key.split("/")
            error = flat.get(f"exact/{sampler}/{task}/ratio_error")
            rows.append((sampler, task, f"{value:.2f}", "" if error is None else f"{error:.2f}"))
    return io.csv_table(("sampler", "task", "ratio", "standard error"), rows)


def main(numbers, pdf, png, caption, *, code=None):
    contents = [io.read_json(path) for path in numbers]
    flat = {key: value for content in contents for key, value in content["numbers"].items()}
    figure = plotting.draw_exact(flat)
    io.write_figure(
        [pdf, png],
        figure,
        provenance({"drawn_from": [content["provenance"] for content in contents]}, code=code),
    )
    io.write_text(caption, f"{table(flat)}\n")


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(list(snakemake.input.numbers), **snakemake.output, **snakemake.params)
