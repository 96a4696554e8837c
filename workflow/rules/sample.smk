rule sample:
    input:
        observation="<results>/{problem}/observation.h5",
        prior=plan.inputs.prior,
        noise=plan.inputs.noise,
    output:
        posterior="<results>/{problem}/{sampler}/posterior.h5",
        fits="<results>/{problem}/{sampler}/posterior.fits",
    log:
        "<logs>/sample/{problem}_{sampler}.log",
    benchmark:
        "<benchmarks>/sample/{problem}_{sampler}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=120,
        gpu=plan.needs.one_gpu,
    params:
        sampler=lookup(within=config, dpath="samplers/{sampler}"),
        n=lookup(within=config, dpath="problems/{problem}/n_samples"),
        name="{problem}",
        seed=plan.parameters.seed("sample"),
        code=plan.code.version("sample/sample"),
    message:
        "Sampling the posterior of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/scripts/sample/sample.py"


rule train_regression:
    input:
        observation="<results>/{problem}/observation.h5",
        images=plan.inputs.draws,
    output:
        network="<results>/{problem}/regression.safetensors",
    log:
        "<logs>/train_regression/{problem}.log",
    benchmark:
        "<benchmarks>/train_regression/{problem}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=120,
        gpu=plan.needs.one_gpu,
    params:
        steps=lookup(within=config, dpath="problems/{problem}/regression"),
        seed=plan.parameters.seed("train_regression"),
        code=plan.code.version("sample/train_regression"),
    message:
        "Training the direct regression of {wildcards.problem}"
    script:
        "../../src/scripts/sample/train_regression.py"


rule baselines:
    input:
        observation="<results>/{problem}/observation.h5",
        population=plan.inputs.population,
        regression=plan.inputs.regression,
    output:
        baselines="<results>/{problem}/baselines.h5",
        numbers="<results>/{problem}/baselines.json",
    log:
        "<logs>/baselines/{problem}.log",
    benchmark:
        "<benchmarks>/baselines/{problem}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.needs.half
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=60,
    params:
        problem="{problem}",
        seed=plan.parameters.seed("baselines"),
        code=plan.code.version("sample/baselines"),
    message:
        "Classical reconstructions of {wildcards.problem}"
    script:
        "../../src/scripts/sample/baselines.py"
