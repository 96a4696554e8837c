"""One file of config/datasets.tsv, verified: data/<host>/<path>, from its address or from a mirror folder."""

from skyscore import checksums, io
from skyscore.io.download import download


def main(file, *, url, sha256, size, mirror=None):
    download(url, file, sha256, size, mirror=mirror)
    checksums.seal(file, checksums.digest_of(file))


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        mirror = snakemake.resources.mirror
        main(**snakemake.output, **snakemake.params, mirror=None if mirror == "none" else mirror)
