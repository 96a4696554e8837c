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


for part in "common download prepare train observe sample validate certify figures".split():

    include: f"workflow/rules/{part}.smk"


rule all:
    default_target: True
    input:
        plan.targets.products(config["target"], damaged=plan.run.damaged),


rule download:
    input:
        plan.files.downloads(),


rule posteriors:
    input:
        plan.problems.each("<results>/{problem}/{sampler}/posterior.fits", config["target"]),


rule figures:
    input:
        plan.targets.figures(config["target"]),


rule samplers:
    input:
        "<results>/figures/samplers_all.pdf" if plan.problems.certified(config["target"]) else [],


for kind in (None, "lens", "kappa", "hst", "radio"):

    rule:
        name:
            f"real_{kind}" if kind else "real"
        input:
            plan.targets.products("real", kind),
