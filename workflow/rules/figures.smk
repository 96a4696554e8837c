include: "figures_of_checks.smk"
include: "figures_of_validation.smk"


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
