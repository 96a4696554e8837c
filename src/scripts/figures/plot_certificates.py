"""The table of all certificates, with those of the control last. Writes PDF, PNG and the report's caption."""

from skyscore import io, plotting
from skyscore.provenance import provenance


def main(certificates, control, pdf, png, caption, *, code=None):
    found, sources = {}, []
    for path in certificates:
        content = io.read_json(path)
        problem, sampler, _ = next(key for key in content["numbers"] if key.count("/") == 2).split("/")
        found[f"{problem} / {sampler}"] = content["certificate"]
        sources.append(content["provenance"])
    content = io.read_json(control)
    found |= {f"control / {name}": verdict for name, verdict in content["certificates"].items()}
    sources.append(content["provenance"])
    io.write_figure(
        [pdf, png], plotting.draw_certificates(found), provenance({"drawn_from": sources}, code=code)
    )
    lines = []
    for name, verdict in found.items():
        result = "certified" if verdict["certified"] else "not certified: " + "; ".join(verdict["reasons"])
        lines.append(f"- **{name}**: {result}.")
    io.write_caption(caption, ["\n".join(lines)], sources[0])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(
            list(snakemake.input.certificates),
            snakemake.input.control,
            **snakemake.output,
            **snakemake.params,
        )
