"""skyscore: from raw data to posterior samples, figures and numbers."""

from snakemake.utils import min_version

min_version("9.19")


configfile: "config/config.yaml"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


resource_scopes:
    gpu="local",  # shared by the jobs of one machine, not by those of a cluster


report: "workflow/report/workflow.rst"


for part in "common inputs targets download prepare train observe sample validate certify figures".split():

    include: f"workflow/rules/{part}.smk"


rule all:
    default_target: True
    input:
        products(config["target"]),


rule download:
    input:
        downloads(),


rule posteriors:
    input:
        each("<results>/{problem}/{sampler}/posterior.fits", config["target"]),


rule figures:
    input:
        figures(config["target"]),


rule samplers:
    input:
        "<results>/figures/samplers_all.pdf" if certified_of(config["target"]) else [],


for kind in (None, "lens", "kappa", "hst", "radio"):

    rule:
        name:
            f"real_{kind}" if kind else "real"
        input:
            products("real", kind=kind),
