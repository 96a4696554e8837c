"""Figure of a convergence map at clusters that the data do not contain: cut-outs, and a table of the means there.

Reads the observation (positions of the clusters), the samples, the classical maps and the numbers; writes PDF, PNG and
the caption.
"""

import numpy as np

from skyscore import io, plotting
from skyscore.provenance import provenance

SHOWN, SAMPLES = 6, 4  # clusters with their own row, most massive first; samples with their own column
HALF_SIDE = 6.0  # of a cut-out [arcmin]
ROWS = (  # rows of the table: quantity, key of the value, key of its error
    ("mean of the samples", "clusters_kappa", "clusters_random_sd"),
    ("posterior mean at random positions", "clusters_random", "clusters_random_sd"),
    ("E mode of Kaiser-Squires, smoothed", "clusters_ks_e", "clusters_ks_e_random_sd"),
    ("B mode of Kaiser-Squires, smoothed", "clusters_ks_b", "clusters_ks_b_random_sd"),
)


def main(
    observation, posterior, baselines, panels, numbers, pdf, png, caption, *, problem, sampler, code=None
):
    clusters = io.read_dataset(observation, "clusters")
    clusters = clusters[np.argsort(-clusters[:, 3], kind="stable")]
    content = io.read_json(numbers)
    flat = io.short_keys(content["numbers"])
    x, attrs = io.read_samples(posterior, "physical")
    scale, classical = attrs["pixel_scale"], {one.title: one.image for one in io.read_panels(baselines)}
    smoothed = [one for one in io.read_panels(panels) if one.group == "smooth"]
    maps = {one.title.replace(", ", "\n"): one.image for one in smoothed}
    maps |= {"Wiener": classical["wiener"], "Posterior\nmean": x[:, 0].mean(0)}
    maps |= {"Standard deviation": x[:, 0].std(0, ddof=min(1, len(x) - 1))}
    maps |= {f"Sample {k + 1}": image for k, image in enumerate(x[:SAMPLES, 0])}
    names = [f"{mass:.1f} e13 Msun\nz = {z:.2f}" for z, mass in clusters[:, 2:]]
    half = max(1, round(HALF_SIDE / scale))
    title = f"{problem}: convergence at X-ray clusters, samples by {sampler}"
    shown = min(SHOWN, len(clusters))
    figure = plotting.draw_clusters(names, maps, clusters[:, :2], shown, half, scale, title)
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))
    rows = [(name, f"{flat[key]:.4f}", f"{flat[error]:.4f}") for name, key, error in ROWS]
    lines = [
        f"Mean convergence at the {len(clusters)} clusters. The errors are the scatter over as many random positions:",
        io.csv_table(("map", "convergence", "error"), rows),
    ]
    io.write_caption(caption, lines, content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
