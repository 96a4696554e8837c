"""skyscore: from raw data to posterior samples, calibration, figures and numbers. Targets: all, download, figures, real_lens, real."""

from snakemake.utils import min_version

min_version("9.19")


configfile: "config/config.yaml"


pathvars:
    logs="<results>/logs",
    benchmarks="<results>/benchmarks",


# a GPU is shared by the jobs of one machine, not by those of a cluster
resource_scopes:
    gpu="local",


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/download.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/observe.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/validate.smk"
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


rule real:
    input:
        products("real"),


rule real_lens:
    input:
        products("real", kind="lens"),


onsuccess:
    print(headlines())
