rule pqmass_prior:
    input:
        held_out=plan.inputs.held_out_of_prior,
        samples="<results>/priors/{prior}/samples.h5",
    output:
        numbers="<results>/priors/{prior}/pqmass.json",
    log:
        "<logs>/pqmass_prior/{prior}.log",
    benchmark:
        "<benchmarks>/pqmass_prior/{prior}.tsv"
    conda:
        "../../envs/validate.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000),
        runtime=60,
    params:
        name="{prior}",
        settings=lookup(within=config, dpath="priors/{prior}/sampling"),
        seed=plan.parameters.seed("pqmass_prior"),
        code=plan.code.version("validate/pqmass_prior"),
    message:
        "Testing the prior {wildcards.prior} against held-out images"
    script:
        "../../src/scripts/validate/pqmass_prior.py"


rule residuals:
    input:
        observation="<results>/{problem}/observation.h5",
        posterior="<results>/{problem}/{sampler}/posterior.h5",
    output:
        numbers="<results>/{problem}/{sampler}/residuals.json",
        panels="<results>/{problem}/{sampler}/panels.h5",
    log:
        "<logs>/residuals/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/residuals/{problem}_{sampler}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        code=plan.code.version("validate/residuals"),
    message:
        "Residuals of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/scripts/validate/residuals.py"


rule compare:
    input:
        observation="<results>/{problem}/observation.h5",
        baselines="<results>/{problem}/baselines.h5",
        posteriors=plan.inputs.posteriors,
    output:
        comparison="<results>/{problem}/comparison.h5",
        numbers="<results>/{problem}/comparison.json",
    log:
        "<logs>/compare/{problem}.log",
    benchmark:
        "<benchmarks>/compare/{problem}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=30,
    params:
        problem="{problem}",
        samplers=lookup(within=config, dpath="problems/{problem}/samplers"),
        code=plan.code.version("validate/compare"),
    message:
        "Comparing the reconstructions of {wildcards.problem}"
    script:
        "../../src/scripts/validate/compare.py"


rule exercise:
    input:
        observations=plan.problems.by_case("<results>/{problem}/observation.h5"),
        posteriors=plan.problems.by_case("<results>/{problem}/{sampler}/posterior.h5"),
        priors=plan.problems.by_case("<results>/priors/{prior}/samples.h5"),
    output:
        panels="<results>/exercises/{exercise}.h5",
        numbers="<results>/exercises/{exercise}.json",
    log:
        "<logs>/exercise/{exercise}.log",
    benchmark:
        "<benchmarks>/exercise/{exercise}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000),
        runtime=30,
    params:
        exercise="{exercise}",
        cases=lambda wildcards: plan.problems.labels(wildcards.exercise),
        code=plan.code.version("validate/exercise"),
    message:
        "Measuring the exercise {wildcards.exercise}"
    script:
        "../../src/scripts/validate/exercise.py"


rule slic_parameters:
    input:
        noise=f"<results>/priors/{config['slic']['prior']}.safetensors",
        held_out=plan.inputs.held_out_of_learned_noise,
    output:
        numbers="<results>/slic/parameters.json",
    log:
        "<logs>/slic_parameters.log",
    benchmark:
        "<benchmarks>/slic_parameters.tsv"
    priority: 1  # minutes that nothing else waits for but the end
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000),
        runtime=240,
        gpu=plan.needs.one_gpu,
    params:
        settings=plan.parameters.slic,
        seed=plan.parameters.seed("slic_parameters"),
        code=plan.code.version("validate/slic_parameters"),
    message:
        "Fitting parameters under the learned noise {config[slic][prior]}"
    script:
        "../../src/scripts/validate/slic_parameters.py"


rule exact:
    output:
        numbers="<results>/exact/{sampler}/{task}.json",
    log:
        "<logs>/exact/{sampler}_{task}.log",
    benchmark:
        "<benchmarks>/exact/{sampler}_{task}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(2000),
        runtime=120,
    params:
        name="{sampler}",
        task="{task}",
        sampler=lookup(within=config, dpath="samplers/{sampler}"),
        settings=plan.parameters.exact,
        seed=config["seed"],  # the same tasks for every sampler
        code=plan.code.version("validate/exact"),
    message:
        "Measuring {wildcards.sampler} against exact posteriors ({wildcards.task})"
    script:
        "../../src/scripts/validate/exact.py"
