rule plot_prior:
    input:
        held_out=held_out_of_prior,
        samples="<results>/priors/{prior}/samples.h5",
        numbers="<results>/priors/{prior}/pqmass.json",
    output:
        pdf="<results>/figures/prior_{prior}.pdf",
        png=report(
            "<results>/figures/prior_{prior}.png",
            caption="../report/prior.rst",
            category="Priors",
            labels={"prior": "{prior}", "figure": "samples and held-out images"},
        ),
        caption="<results>/figures/prior_{prior}.rst",
    log:
        "<logs>/plot_prior/{prior}.log",
    benchmark:
        "<benchmarks>/plot_prior/{prior}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        name="{prior}",
    message:
        "Drawing the prior {wildcards.prior}"
    script:
        "../../src/plot_prior.py"


rule plot_posterior:
    input:
        panels="<results>/{problem}/{sampler}/panels.h5",
        numbers="<results>/{problem}/{sampler}/residuals.json",
    output:
        pdf="<results>/figures/{problem}_{sampler}.pdf",
        png=report(
            "<results>/figures/{problem}_{sampler}.png",
            caption="../report/posterior.rst",
            category="Posteriors",
            subcategory="{problem}",
            labels={"problem": "{problem}", "sampler": "{sampler}"},
        ),
        caption="<results>/figures/{problem}_{sampler}.rst",
    log:
        "<logs>/plot_posterior/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/plot_posterior/{problem}_{sampler}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        problem="{problem}",
        sampler="{sampler}",
    message:
        "Drawing the posterior of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/plot_posterior.py"


rule plot_comparison:
    input:
        comparison="<results>/{problem}/comparison.h5",
        numbers="<results>/{problem}/comparison.json",
        baselines="<results>/{problem}/baselines.json",
    output:
        pdf="<results>/figures/comparison_{problem}.pdf",
        png=report(
            "<results>/figures/comparison_{problem}.png",
            caption="../report/comparison.rst",
            category="Comparisons",
            labels={"problem": "{problem}", "figure": "reconstructions"},
        ),
        caption="<results>/figures/comparison_{problem}.rst",
    log:
        "<logs>/plot_comparison/{problem}.log",
    benchmark:
        "<benchmarks>/plot_comparison/{problem}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        problem="{problem}",
    message:
        "Drawing the reconstructions of {wildcards.problem}"
    script:
        "../../src/plot_comparison.py"


rule plot_exercise:
    input:
        panels="<results>/exercises/{exercise}.h5",
        numbers="<results>/exercises/{exercise}.json",
    output:
        pdf="<results>/figures/exercise_{exercise}.pdf",
        png=report(
            "<results>/figures/exercise_{exercise}.png",
            caption="../report/exercise.rst",
            category="Exercises",
            labels={"exercise": "{exercise}", "figure": "posteriors and prior"},
        ),
        caption="<results>/figures/exercise_{exercise}.rst",
    log:
        "<logs>/plot_exercise/{exercise}.log",
    benchmark:
        "<benchmarks>/plot_exercise/{exercise}.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    params:
        exercise="{exercise}",
    message:
        "Drawing the exercise {wildcards.exercise}"
    script:
        "../../src/plot_exercise.py"


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


rule plot_slic:
    input:
        numbers="<results>/slic/parameters.json",
    output:
        pdf="<results>/figures/slic.pdf",
        png=report(
            "<results>/figures/slic.png",
            caption="../report/slic.rst",
            category="Learned likelihood",
            labels={"figure": "parameters under a learned noise"},
        ),
        caption="<results>/figures/slic.rst",
    log:
        "<logs>/plot_slic.log",
    benchmark:
        "<benchmarks>/plot_slic.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    message:
        "Drawing SLIC on parameters"
    script:
        "../../src/plot_slic.py"


rule plot_exact:
    input:
        numbers=exact_numbers("simulated"),
    output:
        pdf="<results>/figures/exact.pdf",
        png=report(
            "<results>/figures/exact.png",
            caption="../report/exact.rst",
            category="Exact benchmark",
            labels={"figure": "distance to the exact posterior"},
        ),
        caption="<results>/figures/exact.rst",
    log:
        "<logs>/plot_exact.log",
    benchmark:
        "<benchmarks>/plot_exact.tsv"
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(1000),
        runtime=10,
    message:
        "Drawing the exact benchmark"
    script:
        "../../src/plot_exact.py"


rule collect_numbers:
    input:
        numbers=measured(config["target"]),
    output:
        numbers=report(
            "<results>/numbers.json",
            caption="../report/numbers.rst",
            category="Numbers",
            labels={"table": "all numbers"},
        ),
        tex="<results>/numbers.tex",
        table="<results>/numbers.rst",
        provenance="<results>/provenance.json",
    log:
        "<logs>/collect_numbers.log",
    benchmark:
        "<benchmarks>/collect_numbers.tsv"
    localrule: True
    conda:
        "../../envs/figures.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=5,
    params:
        settings=settings.decisive(config),
    message:
        "Collecting all numbers"
    script:
        "../../src/collect_numbers.py"


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
