rule simulate:
    input:
        observation="<results>/{problem}/observation.h5",
        draws=plan.inputs.draws,
        held_out=plan.inputs.truths,
        drawn_noise=plan.inputs.drawn_noise,
        held_out_noise=plan.inputs.held_out_noise,
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
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=60,
    params:
        n=plan.parameters.simulations,
        n_held_out=config["validation"]["held_out"],
        seed=plan.parameters.seed("simulate"),
        code=plan.code.version("certify/simulate"),
    message:
        "Simulating {params.n} + {params.n_held_out} observations of {wildcards.problem}"
    script:
        "../../src/scripts/certify/simulate.py"


rule sample_ensemble:
    input:
        observation="<results>/{problem}/observation.h5",
        simulations="<results>/{problem}/simulations.h5",
        prior=plan.inputs.prior,
        noise=plan.inputs.noise,
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
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=720,
        gpu=plan.needs.one_gpu,
    params:
        sampler=lookup(within=config, dpath="samplers/{sampler}"),
        n=config["validation"]["samples"],
        first=plan.parameters.first_of_part,
        at_most=config["validation"]["chunk"],
        seed=plan.parameters.seed_of_ensemble,
        code=plan.code.version("certify/sample_ensemble"),
    message:
        "Sampling all simulations of {wildcards.problem} by {wildcards.sampler}: {params.n} samples each, {params.sampler[steps]} steps"
    script:
        "../../src/scripts/certify/sample_ensemble.py"


rule coverage_ensemble:
    input:
        simulations="<results>/{problem}/simulations.h5",
        ensemble=plan.inputs.ensembles,
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
        mem_mb=plan.needs.memory(4000),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        seed=plan.parameters.seed("coverage_ensemble"),
        code=plan.code.version("certify/coverage_ensemble"),
    message:
        "Coverage of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/scripts/certify/coverage_ensemble.py"


rule mira_ensemble:
    input:
        simulations="<results>/{problem}/simulations.h5",
        ensemble=plan.inputs.ensembles,
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
        mem_mb=plan.needs.memory(4000),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        code=plan.code.version("certify/mira_ensemble"),
    message:
        "MIRA of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/scripts/certify/mira_ensemble.py"


rule moments_ensemble:
    input:
        observation="<results>/{problem}/observation.h5",
        simulations="<results>/{problem}/simulations.h5",
        ensemble=plan.inputs.ensembles,
        draws=plan.inputs.draws,
        noise=plan.inputs.held_out_noise,
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
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        seed=plan.parameters.seed("moments_ensemble"),
        code=plan.code.version("certify/moments_ensemble"),
    message:
        "Mean squared z and residuals of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/scripts/certify/moments_ensemble.py"


rule pqmass_ensemble:
    input:
        simulations="<results>/{problem}/simulations.h5",
        ensemble=plan.inputs.ensembles,
        draws=plan.inputs.draws,
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
        mem_mb=plan.needs.memory(4000),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        seed=plan.parameters.seed("pqmass_ensemble"),
        code=plan.code.version("certify/pqmass_ensemble"),
    message:
        "Pooled samples of {wildcards.problem} by {wildcards.sampler} against the prior"
    script:
        "../../src/scripts/certify/pqmass_ensemble.py"


rule certify:
    input:
        tests=expand(
            "<results>/{{problem}}/{{sampler}}/{test}.json", test=["coverage", "mira", "moments", "pqmass"]
        ),
        priors=plan.inputs.tests_of_learned,
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
        mem_mb=plan.needs.memory(500),
        runtime=5,
    params:
        problem="{problem}",
        sampler="{sampler}",
        default=plan.parameters.is_default,
        learned_noise=plan.parameters.has_learned_noise,
        code=plan.code.version("certify/certify"),
    message:
        "Certifying {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/scripts/certify/certify.py"


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
        mem_mb=plan.needs.memory(2000),
        runtime=60,
    params:
        settings=config["validation"]["control"],
        seed=plan.parameters.seed("control"),
        code=plan.code.version("certify/control"),
    message:
        "Certifying samplers whose error is known: the test of the tests"
    script:
        "../../src/scripts/certify/control.py"


rule collect_numbers:
    input:
        numbers=plan.targets.numbers(config["target"]),
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
        mem_mb=plan.needs.memory(500),
        runtime=5,
    params:
        settings=decisive(config),
        code=plan.code.version("certify/collect_numbers"),
    message:
        "Collecting all numbers"
    script:
        "../../src/scripts/certify/collect_numbers.py"
