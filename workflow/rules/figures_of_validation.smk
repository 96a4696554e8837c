"""Figures of the tests that posteriors went through."""


rule plot_coverage:
    input:
        numbers=of_validated("<results>/{problem}/{sampler}/coverage.json"),
    output:
        pdf="<results>/figures/coverage_{problem}.pdf",
        png=report(
            "<results>/figures/coverage_{problem}.png",
            caption="../report/coverage.rst",
            category="Validation",
            subcategory="{problem}",
            labels={"problem": "{problem}", "figure": "coverage"},
        ),
        caption="<results>/figures/coverage_{problem}.rst",
    log:
        "<logs>/plot_coverage/{problem}.log",
    benchmark:
        "<benchmarks>/plot_coverage/{problem}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        problem="{problem}",
        samplers=lambda wildcards: validated_samplers(wildcards.problem),
    message:
        "Drawing the coverage of {wildcards.problem}"
    script:
        "../../src/plot_coverage.py"


rule plot_moments:
    input:
        coverage=of_validated("<results>/{problem}/{sampler}/coverage.json"),
        mira=of_validated("<results>/{problem}/{sampler}/mira.json"),
        moments=of_validated("<results>/{problem}/{sampler}/moments.json"),
        certificates=of_validated("<results>/{problem}/{sampler}/certificate.json"),
    output:
        pdf="<results>/figures/moments_{problem}.pdf",
        png=report(
            "<results>/figures/moments_{problem}.png",
            caption="../report/moments.rst",
            category="Validation",
            subcategory="{problem}",
            labels={"problem": "{problem}", "figure": "ranks, z and MIRA"},
        ),
        caption="<results>/figures/moments_{problem}.rst",
    log:
        "<logs>/plot_moments/{problem}.log",
    benchmark:
        "<benchmarks>/plot_moments/{problem}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        problem="{problem}",
        samplers=lambda wildcards: validated_samplers(wildcards.problem),
    message:
        "Drawing ranks, mean squared z and MIRA of {wildcards.problem}"
    script:
        "../../src/plot_moments.py"


rule plot_samplers:
    input:
        tests=lambda wildcards: tests_of_samplers(config["target"], wildcards.scope),
        exact=exact_numbers(config["target"]),
    output:
        pdf="<results>/figures/samplers_{scope}.pdf",
        png=report(
            "<results>/figures/samplers_{scope}.png",
            caption="../report/samplers.rst",
            category="Validation",
            labels={"figure": "{scope} samplers side by side"},
        ),
        caption="<results>/figures/samplers_{scope}.rst",
        numbers="<results>/samplers_{scope}.json",
    log:
        "<logs>/plot_samplers/{scope}.log",
    benchmark:
        "<benchmarks>/plot_samplers/{scope}.tsv"
    wildcard_constraints:
        scope="validated|all",
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        order=lambda wildcards: samplers_compared(config["target"], wildcards.scope),
    message:
        "Drawing {wildcards.scope} samplers side by side"
    script:
        "../../src/plot_samplers.py"


rule plot_certificates:
    input:
        certificates=certificates_of(certified_of(config["target"])),
        control="<results>/control.json",
    output:
        pdf="<results>/figures/certificates.pdf",
        png=report(
            "<results>/figures/certificates.png",
            caption="../report/certificates.rst",
            category="Validation",
            labels={"figure": "all certificates"},
        ),
        caption="<results>/figures/certificates.rst",
    log:
        "<logs>/plot_certificates.log",
    benchmark:
        "<benchmarks>/plot_certificates.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    message:
        "Drawing all certificates"
    script:
        "../../src/plot_certificates.py"


rule plot_control:
    input:
        numbers="<results>/control.json",
    output:
        pdf="<results>/figures/control.pdf",
        png=report(
            "<results>/figures/control.png",
            caption="../report/control.rst",
            category="Validation",
            labels={"figure": "the test of the tests"},
        ),
        caption="<results>/figures/control.rst",
    log:
        "<logs>/plot_control.log",
    benchmark:
        "<benchmarks>/plot_control.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    message:
        "Drawing the test of the tests"
    script:
        "../../src/plot_control.py"
