"""Figures of real objects side by side, and against what the data do not hold."""


rule plot_family:
    input:
        posteriors=of_family("<results>/{problem}/{sampler}/posterior.h5"),
        numbers=of_family("<results>/{problem}/observation.json"),
    output:
        pdf="<results>/figures/family.pdf",
        png=report(
            "<results>/figures/family.png",
            caption="../report/family.rst",
            category="Posteriors",
            labels={"problem": "all lenses", "sampler": "each its first"},
        ),
        caption="<results>/figures/family.rst",
    log:
        "<logs>/plot_family.log",
    benchmark:
        "<benchmarks>/plot_family.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        problems=family_of(),
        samplers=[default_sampler(name) for name in family_of()],
    message:
        "Drawing the sources of all lenses"
    script:
        "../../src/plot_family.py"


rule plot_clusters:
    input:
        observation="<results>/{problem}/observation.h5",
        posterior="<results>/{problem}/{sampler}/posterior.h5",
        baselines="<results>/{problem}/baselines.h5",
        panels="<results>/{problem}/{sampler}/panels.h5",
        numbers="<results>/{problem}/{sampler}/residuals.json",
    output:
        pdf="<results>/figures/clusters_{problem}_{sampler}.pdf",
        png=report(
            "<results>/figures/clusters_{problem}_{sampler}.png",
            caption="../report/clusters.rst",
            category="Posteriors",
            subcategory="{problem}",
            labels={"problem": "{problem}", "sampler": "{sampler}, at clusters"},
        ),
        caption="<results>/figures/clusters_{problem}_{sampler}.rst",
    log:
        "<logs>/plot_clusters/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/plot_clusters/{problem}_{sampler}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        problem="{problem}",
        sampler="{sampler}",
    message:
        "Drawing {wildcards.problem} at clusters by {wildcards.sampler}"
    script:
        "../../src/plot_clusters.py"


rule plot_profile:
    input:
        comparison="<results>/{problem}/comparison.h5",
        curves="<results>/{problem}/comparison.json",
        numbers="<results>/{problem}/{sampler}/residuals.json",
    output:
        pdf="<results>/figures/profile_{problem}_{sampler}.pdf",
        png=report(
            "<results>/figures/profile_{problem}_{sampler}.png",
            caption="../report/profile.rst",
            category="Posteriors",
            subcategory="{problem}",
            labels={"problem": "{problem}", "sampler": "{sampler}, radial profile"},
        ),
        caption="<results>/figures/profile_{problem}_{sampler}.rst",
    log:
        "<logs>/plot_profile/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/plot_profile/{problem}_{sampler}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=10,
    params:
        problem="{problem}",
        sampler="{sampler}",
    message:
        "Drawing the radial profile of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/plot_profile.py"
