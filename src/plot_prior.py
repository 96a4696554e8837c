"""Figure of one prior: its samples beside held-out images. Writes PDF, PNG and the report's caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance


def main(held_out, samples, numbers, pdf, png, caption, *, name):
    content = io.read_json(numbers)
    flat = {key.rsplit("/", 1)[-1]: value for key, value in content["numbers"].items()}
    generated, real = io.read_dataset(samples, "samples", 36), io.read_dataset(held_out, "held_out", 36)
    shown = {key: flat[key] for key in ("pqmass_chi2_dof", "pqmass_p_value") if key in flat}
    figure = plotting.draw_prior(generated, real, shown)
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}))
    lines = [f"- {key}: {value:.4g}" for key, value in flat.items()]
    io.write_text(caption, f"PQMass of {name} against held-out images:\n\n" + "\n".join(lines) + "\n")


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
