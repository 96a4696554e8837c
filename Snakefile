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


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/observe.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/validate.smk"
include: "workflow/rules/certify.smk"
include: "workflow/rules/figures.smk"


rule all:
    default_target: True
    input:
        products(config["target"]),


rule download:
    input:
        downloads(),


rule figures:
    input:
        figures(config["target"]),


rule samplers:
    input:
        every_sampler(config["target"]),


rule real:
    input:
        products("real"),


rule real_lens:
    input:
        products("real", kind="lens"),


onsuccess:
    print(headlines())
