"""Figure of a disk's radial profile: samples and CLEAN against a published profile, and a table of the rings.

Reads the reconstructions, their profiles and the numbers; writes PDF, PNG and the caption.
"""

import numpy as np

from skyscore import io, plotting
from skyscore.provenance import provenance


def main(comparison, curves, numbers, pdf, png, caption, *, problem, sampler, code=None):
    content = io.read_json(numbers)
    flat = io.short_keys(content["numbers"])
    if "profile" not in (known := io.read_json(curves)):
        raise io.InputError(
            f"{curves}: contains no published profile; name its file under `files` of {problem!r}"
        )
    disk = known["profile"]
    mean = next(one for one in io.read_panels(comparison) if one.title == f"{sampler}: mean")
    beam = disk["beam"]
    profiles = {
        "Published": disk["published"],
        "Published, at the beam of CLEAN": disk["published_at_beam"],
        "CLEAN of these data": disk["of"]["clean"][2],
    }
    figure = plotting.draw_profile(
        np.array(disk["radii"]),
        np.array(disk["of"][sampler]),
        {name: np.array(one) for name, one in profiles.items()},
        1e3 * mean.image / mean.scale**2,
        mean.scale,
        {at: f"Ring {k}" for k, at in enumerate(disk["rings"], 1)},
        disk["outlines"][sampler],
        f"{problem}: radial profile, samples by {sampler}",
    )
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}, code=code))

    def of_samples(key):
        return "{:.3f} ({:.3f} to {:.3f})".format(*(flat[key + end] for end in ("", "_p16", "_p84")))

    rows = [
        (f"ring {k} (arcsec)", of_samples(f"ring_{k}_arcsec"), f"{at:.3f}")
        for k, at in enumerate(disk["rings"], 1)
    ]
    rows += [
        ("ratio to the published brightness", of_samples("profile_ratio"), "1"),
        ("correlation of the profiles times r^2", of_samples("profile_correlation"), "1"),
        ("ratio of the brightness, both at the beam", of_samples("profile_ratio_at_beam"), "1"),
        ("correlation, both at the beam", of_samples("profile_correlation_at_beam"), "1"),
    ]
    lines = [
        f"CLEAN is restored with a beam of {beam[0]:.3f} x {beam[1]:.3f} arcsec, the samples with none. The table "
        "gives the median of the samples and their central 68 per cent; rings are measured in the same way in both:",
        io.csv_table(("quantity", "samples", "published"), rows),
    ]
    io.write_caption(caption, lines, content["provenance"])


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
