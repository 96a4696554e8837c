"""Coverage curves of all validated samplers of one problem. Reads coverage.json of each; writes PDF, PNG, caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance


def table(contents, problem):
    """Deviation and p-value of each sampler, as a table for the caption."""
    rows = []
    for sampler, content in contents.items():
        for prefix, origin in (("", "prior"), ("held_out_", "held out")):
            flat = content["numbers"]
            if f"{problem}/{sampler}/{prefix}tarp_deviation" in flat:
                deviation, p, inside = (
                    flat[f"{problem}/{sampler}/{prefix}tarp_{key}"] for key in ("deviation", "p", "inside")
                )
                verdict = "inside" if inside else "**outside**"
                rows.append((sampler, origin, f"{deviation:.3f}", f"{p:.2g}", verdict))
    return io.csv_table(("sampler", "truths", "largest deviation", "p", "band"), rows)


def main(numbers, pdf, png, caption, *, problem, samplers, code=None):
    contents = {name: io.read_json(path) for name, path in zip(samplers, numbers, strict=True)}
    figure = plotting.draw_coverage(
        {name: content["curves"] for name, content in contents.items()},
        f"{problem}: expected coverage (TARP)",
    )
    sources = [content["provenance"] for content in contents.values()]
    io.write_figure([pdf, png], figure, provenance({"drawn_from": sources}, code=code))
    flat = contents[samplers[0]]["numbers"]
    n, s = (flat[f"{problem}/{samplers[0]}/{key}"] for key in ("simulations", "samples"))
    text = f"{n} truths drawn from the prior, {s} samples each. Largest deviation and p are over both kinds of regions."
    io.write_caption(caption, [text, table(contents, problem)], sources[0])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(list(snakemake.input.numbers), **snakemake.output, **snakemake.params)
