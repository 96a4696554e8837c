"""Figure of the sources of all real lenses. Reads their posteriors and numbers; writes PDF, PNG and the caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance


def member(name, posterior, numbers):
    """One source, from its samples and the numbers of its observation; None if its redshift is not configured."""
    about = io.short_keys(io.read_json(numbers)["numbers"])
    if "source_redshift" not in about:
        return None
    x, attrs = io.read_samples(posterior, "physical")
    redshift, kpc = about["source_redshift"], about["source_kpc_per_arcsec"]
    return plotting.Member(name, x[:, 0], attrs["pixel_scale"], attrs["unit"], redshift, kpc)


def main(posteriors, numbers, pdf, png, caption, *, problems, samplers, code=None):
    found = [member(*item) for item in zip(problems, posteriors, numbers, strict=True)]
    without = [name for name, one in zip(problems, found, strict=True) if one is None]
    members = [one for one in found if one is not None]
    if not members:
        raise io.InputError(
            "family: no lens has the setting `redshifts` in the configuration; add it to the problem of a lens"
        )
    made = io.read_json(numbers[0])["provenance"]
    figure = plotting.draw_family(members, "Sources of the lenses, unlensed")
    io.write_figure([pdf, png], figure, provenance({"drawn_from": made}, code=code))
    rows = [
        (one.name, f"{one.redshift:g}", f"{one.kpc:.2f}", sampler, str(len(one.samples)))
        for one, sampler in zip(found, samplers, strict=True)
        if one is not None
    ]
    lines = [io.csv_table(("lens", "redshift of the source", "kpc per arcsec", "sampler", "samples"), rows)]
    if without:
        lines.append(f"Not shown, because the configuration has no redshifts for them: {', '.join(without)}.")
    io.write_caption(caption, lines, made)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
