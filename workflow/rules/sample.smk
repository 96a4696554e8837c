rule sample:
    input:
        observation="<results>/{problem}/observation.h5",
        prior=prior_of,
        noise=noise_of,
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
        mem_mb=growing(4000, matrices),
        runtime=120,
        gpu=one_gpu,
    params:
        sampler=lookup(within=config, dpath="samplers/{sampler}"),
        n=lookup(within=config, dpath="problems/{problem}/n_samples"),
        name="{problem}",
        seed=seed_of("sample"),
        code=code_version("samplers", "priors", "diffusion", "likelihoods", "operators", "problems"),
    message:
        "Sampling the posterior of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/sample.py"


rule train_regression:
    input:
        observation="<results>/{problem}/observation.h5",
        images=draws_of_problem,
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
        mem_mb=growing(4000, matrices),
        runtime=120,
        gpu=one_gpu,
    params:
        steps=lookup(within=config, dpath="problems/{problem}/regression"),
        seed=seed_of("train_regression"),
        code=code_version("baselines", "diffusion"),
    message:
        "Training the direct regression of {wildcards.problem}"
    script:
        "../../src/train_regression.py"


rule baselines:
    input:
        observation="<results>/{problem}/observation.h5",
        population=population_of_problem,
        regression=regression_of,
    output:
        baselines="<results>/{problem}/baselines.h5",
        numbers="<results>/{problem}/baselines.json",
    log:
        "<logs>/baselines/{problem}.log",
    benchmark:
        "<benchmarks>/baselines/{problem}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: HALF
    resources:
        mem_mb=growing(4000, matrices),
        runtime=60,
    params:
        problem="{problem}",
        seed=seed_of("baselines"),
        code=code_version("baselines", "problems", "operators", "likelihoods", "validation/spectra"),
    message:
        "Classical reconstructions of {wildcards.problem}"
    script:
        "../../src/baselines.py"
