rule simulate:
    input:
        observation="<results>/{problem}/observation.h5",
        draws=draws_of_problem,
        held_out=held_out_of_problem,
        drawn_noise=drawn_noise_of,
        held_out_noise=held_out_noise_of,
    output:
        simulations="<results>/{problem}/simulations.h5",
    log:
        "<logs>/simulate/{problem}.log",
    benchmark:
        "<benchmarks>/simulate/{problem}.tsv"
    priority: 3  # the longest jobs wait for it
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000, matrices),
        runtime=60,
    params:
        n=simulations_of,
        n_held_out=config["validation"]["held_out"],
        seed=seed_of("simulate"),
        code=code_version("problems", "operators", "likelihoods", "validation/ensemble"),
    message:
        "Simulating {params.n} + {params.n_held_out} observations of {wildcards.problem}"
    script:
        "../../src/simulate.py"


rule sample_ensemble:
    input:
        observation="<results>/{problem}/observation.h5",
        simulations="<results>/{problem}/simulations.h5",
        prior=prior_of,
        noise=noise_of,
    output:
        ensemble="<results>/{problem}/{sampler}/ensemble_{part}.h5",
    log:
        "<logs>/sample_ensemble/{problem}_{sampler}_{part}.log",
    benchmark:
        "<benchmarks>/sample_ensemble/{problem}_{sampler}_{part}.tsv"
    priority: 2  # the longest jobs: short ones fill the gaps
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000, matrices),
        runtime=720,
        gpu=one_gpu,
    params:
        sampler=lookup(within=config, dpath="samplers/{sampler}"),
        n=config["validation"]["samples"],
        first=first_of_part,
        at_most=config["validation"]["chunk"],
        seed=seed_of_ensemble,
        code=code_version("samplers", "priors", "diffusion", "likelihoods", "operators", "problems"),
    message:
        BUDGET
    script:
        "../../src/sample_ensemble.py"


rule coverage_ensemble:
    input:
        simulations="<results>/{problem}/simulations.h5",
        ensemble=ensembles_of,
    output:
        numbers="<results>/{problem}/{sampler}/coverage.json",
    log:
        "<logs>/coverage_ensemble/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/coverage_ensemble/{problem}_{sampler}.tsv"
    conda:
        "../../envs/validate.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        seed=seed_of("coverage_ensemble"),
        code=code_version("validation/ensemble", "validation/tarp"),
    message:
        "Coverage of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/coverage_ensemble.py"


rule mira_ensemble:
    input:
        simulations="<results>/{problem}/simulations.h5",
        ensemble=ensembles_of,
    output:
        numbers="<results>/{problem}/{sampler}/mira.json",
    log:
        "<logs>/mira_ensemble/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/mira_ensemble/{problem}_{sampler}.tsv"
    conda:
        "../../envs/validate.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        code=code_version("validation/ensemble", "validation/mira"),
    message:
        "MIRA of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/mira_ensemble.py"


rule moments_ensemble:
    input:
        observation="<results>/{problem}/observation.h5",
        simulations="<results>/{problem}/simulations.h5",
        ensemble=ensembles_of,
        draws=draws_of_problem,
        noise=held_out_noise_of,
    output:
        numbers="<results>/{problem}/{sampler}/moments.json",
    log:
        "<logs>/moments_ensemble/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/moments_ensemble/{problem}_{sampler}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000, matrices),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        seed=seed_of("moments_ensemble"),
        code=code_version(
            "problems",
            "operators",
            "likelihoods",
            "validation/ensemble",
            "validation/moments",
            "validation/pqmass",
        ),
    message:
        "Mean squared z and residuals of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/moments_ensemble.py"


rule pqmass_ensemble:
    input:
        simulations="<results>/{problem}/simulations.h5",
        ensemble=ensembles_of,
        draws=draws_of_problem,
    output:
        numbers="<results>/{problem}/{sampler}/pqmass.json",
    log:
        "<logs>/pqmass_ensemble/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/pqmass_ensemble/{problem}_{sampler}.tsv"
    conda:
        "../../envs/validate.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        seed=seed_of("pqmass_ensemble"),
        code=code_version("validation/ensemble", "validation/pqmass"),
    message:
        "Pooled samples of {wildcards.problem} by {wildcards.sampler} against the prior"
    script:
        "../../src/pqmass_ensemble.py"


rule certify:
    input:
        tests=expand(
            "<results>/{{problem}}/{{sampler}}/{test}.json", test=["coverage", "mira", "moments", "pqmass"]
        ),
        priors=learned_of_problem,
    output:
        certificate="<results>/{problem}/{sampler}/certificate.json",
    log:
        "<logs>/certify/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/certify/{problem}_{sampler}.tsv"
    conda:
        "../../envs/validate.yaml"
    threads: 1
    resources:
        mem_mb=growing(500),
        runtime=5,
    params:
        problem="{problem}",
        sampler="{sampler}",
        default=lambda wildcards: default_sampler(wildcards.problem) == wildcards.sampler,
        learned_noise=lambda wildcards: config["problems"][wildcards.problem]["noise"] is not None,
        code=code_version("validation/certificate"),
    message:
        "Certifying {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/certify.py"


rule control:
    output:
        numbers="<results>/control.json",
    log:
        "<logs>/control.log",
    benchmark:
        "<benchmarks>/control.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(2000),
        runtime=60,
    params:
        settings=config["validation"]["control"],
        seed=seed_of("control"),
        code=code_version("validation", "samplers", "priors", "likelihoods", "operators"),
    message:
        "Certifying samplers whose error is known: the test of the tests"
    script:
        "../../src/control.py"


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
