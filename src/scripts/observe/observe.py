"""An observation of a problem: simulated from a held-out image, or read from downloaded files.

Reads held-out images (the truth of a simulation; the moments of the prior for real data) and the files by their roles.
Writes observation.h5 and observation.json, with the numbers measured in the process (such as a fitted lens).
"""

from skyscore import checksums, io
from skyscore.problems import PROBLEMS
from skyscore.provenance import provenance
from skyscore.statistics.moments import moments_of


def main(held_out, observation, numbers, *, name, settings, seed, files=(), roles=(), code=None):
    problem = PROBLEMS[settings["kind"]]
    images = io.read_dataset(held_out, "held_out")
    own = {key: value for key, value in settings.items() if key not in ("kind", "data", "files")}
    if roles:
        observed = problem.from_data(own, dict(zip(roles, files, strict=True)), moments_of(images))
    else:
        observed = problem.simulate(own, images, seed)
    source = provenance(
        settings, seed, code=code, files={str(path): checksums.digest_of(path) for path in files}
    )
    io.write_observation(observation, observed, source)
    found = {f"{name}/{key}": value for key, value in observed.attrs.get("numbers", {}).items()}
    io.write_numbers(numbers, found, source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        files = list(snakemake.input.get("files", []))
        main(snakemake.input.held_out, **snakemake.output, **snakemake.params, files=files)
