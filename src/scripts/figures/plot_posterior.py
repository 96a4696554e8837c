"""Figure of one posterior. Reads the stored panels and numbers; writes PDF, PNG and the report's caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance

COLLAPSED = 8  # with fewer distinct ancestors the spread of the samples is not meaningful


def main(panels, numbers, pdf, png, caption, *, problem, sampler, code=None):
    content = io.read_json(numbers)
    flat = io.short_keys(content["numbers"])
    title, warning = f"{problem}: posterior by {sampler}", ""
    if flat.get("unique_ancestors", COLLAPSED) < COLLAPSED:
        left = f"ancestors left: {flat['unique_ancestors']:.0f}"
        warning = f"particles collapsed, {left}; their spread is not that of the posterior"
        title += f" ({warning})"
    figure = plotting.draw_panels(io.read_panels(panels), title)
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    chi2 = f"chi2 per datum {flat['chi2_dof']:.3f}"
    if "chi2_dof_p16" in flat:
        chi2 += (
            f" (16 to 84 per cent of the samples: {flat['chi2_dof_p16']:.3f} to {flat['chi2_dof_p84']:.3f})"
        )
    cost = f"{flat['nfe']:.0f} evaluations and {flat['nvjp']:.0f} vector-Jacobian products per sample"
    text = "; ".join([chi2, *content["caption_numbers"], cost])
    io.write_caption(caption, [f"{text}.{f' **{warning}.**' if warning else ''}"], content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
