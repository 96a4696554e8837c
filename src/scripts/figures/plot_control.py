"""Coverage of the control: exact draws, CLA, draws that are too wide. Reads control.json; writes PDF, PNG, caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance


def main(numbers, pdf, png, caption, *, code=None):
    content = io.read_json(numbers)
    curves = {name: {"prior": found} for name, found in content["curves"].items()}
    figure = plotting.draw_coverage(curves, "Control: a Gaussian field with a known posterior")
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    flat, rows = content["numbers"], []
    for name in curves:
        z2, expected, p = (flat[f"control/{name}/{key}"] for key in ("z2", "z2_expected", "tarp_p"))
        verdict = "certified" if flat[f"control/{name}/certified"] else "**not certified**"
        rows.append((name, f"{z2:.3f}", f"{expected:.3f}", f"{p:.2g}", verdict))
    head = ("samples", "mean squared z", "closed form", "p of coverage", "verdict")
    io.write_caption(caption, [io.csv_table(head, rows)], content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
