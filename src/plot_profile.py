"""Figure of a disk's radial profile: posterior samples and CLEAN against a published profile, and a table of its rings.

Reads the observation (the published profile, the tilt), the samples, the classical images and the numbers; writes PDF,
PNG and the caption.
"""

from skyscore import io, plotting
from skyscore.operators.interferometry import ARCSEC
from skyscore.problems.radial import disk_of
from skyscore.problems.ring import centre_of_light
from skyscore.provenance import provenance

MILLI = 1e3 * ARCSEC**2  # mJy / arcsec^2 of one Jy / sr


def main(observation, posterior, baselines, numbers, pdf, png, caption, *, problem, sampler):
    observed = io.read_observation(observation)
    content = io.read_json(numbers)
    flat = {key.rsplit("/", 1)[-1]: value for key, value in content["numbers"].items()}
    x, attrs = io.read_samples(posterior, "physical")
    x, scale = x[:, 0], attrs["pixel_scale"]
    if "profile" not in observed.arrays:
        raise io.InputError(
            f"{observation}: holds no published profile; name its file under `files` of {problem!r}"
        )
    disk = disk_of(observed.attrs["settings"], observed.arrays["profile"], x.shape[-1])
    classical = {one.title: one.image for one in io.read_panels(baselines)}
    beam = flat["beam_major_arcsec"], flat["beam_minor_arcsec"]
    lines = {
        "published": MILLI * disk.published,
        "published, at the beam of CLEAN": MILLI * disk.published_at((beam[0] * beam[1]) ** 0.5),
        "CLEAN of these data": MILLI * disk.of(classical["clean"][None])[0],
    }
    mean, published = x.mean(0), disk.published_numbers()
    rings = {published[f"ring_{k}_published_arcsec"]: f"ring {k}" for k in range(1, len(disk.rings) + 1)}
    figure = plotting.draw_profile(
        disk.radii, MILLI * disk.of(x), lines, 1e3 * mean / scale**2, scale, disk.tilt, rings,
        centre_of_light(mean), f"{problem}, samples by {sampler}",
    )  # fmt: skip
    io.write_figure([pdf, png], figure, provenance({"drawn_from": content["provenance"]}))

    def of_samples(key, digits):
        value, low, high = (flat[key + end] for end in ("", "_p16", "_p84"))
        return f"{value:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

    rows = [
        (f"ring {k} (arcsec)", of_samples(f"ring_{k}_arcsec", 3), f"{at:.3f}")
        for k, at in enumerate(rings, 1)
    ]
    rows += [
        ("brightness over the published one", of_samples("profile_ratio", 3), "1"),
        ("correlation with it, both times r^2", of_samples("profile_correlation", 3), "1"),
        ("brightness, both at the beam", of_samples("profile_ratio_at_beam", 3), "1"),
        ("correlation, both at the beam", of_samples("profile_correlation_at_beam", 3), "1"),
    ]
    lines = [
        f"The beam of CLEAN is {beam[0]:.3f} x {beam[1]:.3f} arcsec; it was restored with it, the samples with none. "
        "Median of the samples, and where 68 per cent of them are; rings by the same measure in both:",
        io.csv_table(("quantity", "samples", "published"), rows),
        f"Revision ``{content['provenance']['git_revision'][:12]}``.",
    ]
    io.write_text(caption, "\n\n".join(lines) + "\n")


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        main(**snakemake.input, **snakemake.output, **snakemake.params)
