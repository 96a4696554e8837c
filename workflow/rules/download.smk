rule download_file:
    output:
        file="data/{path}",
    log:
        "<logs>/download_file/{path}.log",
    benchmark:
        "<benchmarks>/download_file/{path}.tsv"
    localrule: True
    conda:
        "../../envs/download.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(500),
        runtime=60,
        # where the bytes come from decides nothing about them: a resource, not a parameter, so that naming a mirror
        # later makes nothing run again
        mirror=config["mirror"] or "none",
    params:
        url=lambda wildcards: plan.table[wildcards.path]["url"],
        sha256=lambda wildcards: plan.table[wildcards.path]["sha256"],
        size=lambda wildcards: plan.table[wildcards.path]["bytes"],
    message:
        "Downloading {params.url}"
    script:
        "../../src/scripts/download/download_file.py"
