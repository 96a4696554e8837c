rule pqmass_prior:
    input:
        held_out=held_out_of_prior,
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
        mem_mb=growing(4000),
        runtime=60,
    params:
        name="{prior}",
        settings=lookup(within=config, dpath="priors/{prior}/sampling"),
        seed=seed_of("pqmass_prior"),
        code=code_version("validation"),
    message:
        "Testing the prior {wildcards.prior} against held-out images"
    script:
        "../../src/pqmass_prior.py"


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
        mem_mb=growing(4000, matrices),
        runtime=30,
    params:
        problem="{problem}",
        sampler="{sampler}",
        code=code_version("problems", "operators", "likelihoods", "validation"),
    message:
        "Residuals of {wildcards.problem} by {wildcards.sampler}"
    script:
        "../../src/residuals.py"


rule compare:
    input:
        observation="<results>/{problem}/observation.h5",
        baselines="<results>/{problem}/baselines.h5",
        posteriors=posteriors_of_problem,
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
        mem_mb=growing(4000, matrices),
        runtime=30,
    params:
        problem="{problem}",
        samplers=lookup(within=config, dpath="problems/{problem}/samplers"),
        code=code_version("problems", "operators", "likelihoods", "validation/spectra"),
    message:
        "Comparing the reconstructions of {wildcards.problem}"
    script:
        "../../src/compare.py"


rule exercise:
    input:
        observations=of_cases("<results>/{problem}/observation.h5"),
        posteriors=of_cases("<results>/{problem}/{sampler}/posterior.h5"),
        priors=of_cases("<results>/priors/{prior}/samples.h5"),
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
        mem_mb=growing(4000),
        runtime=30,
    params:
        exercise="{exercise}",
        cases=labels_of,
        code=code_version("problems", "operators", "likelihoods", "validation/exercises"),
    message:
        "Measuring the exercise {wildcards.exercise}"
    script:
        "../../src/exercise.py"


rule slic_parameters:
    input:
        noise=f"<results>/priors/{config['slic']['prior']}.safetensors",
        held_out=held_out_of_slic,
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
        mem_mb=growing(4000),
        runtime=240,
        gpu=one_gpu,
    params:
        settings=slic_settings,
        seed=seed_of("slic_parameters"),
        code=code_version(
            "validation/slic_parameters",
            "validation/noise_laws",
            "validation/parametric",
            "validation/tarp",
            "samplers/mala",
            "samplers/line_integral",
            "likelihoods/score",
            "priors",
        ),
    message:
        "Fitting parameters under the learned noise {config[slic][prior]}"
    script:
        "../../src/slic_parameters.py"


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
        mem_mb=growing(2000),
        runtime=120,
    params:
        name="{sampler}",
        task="{task}",
        sampler=lookup(within=config, dpath="samplers/{sampler}"),
        settings=exact_settings,
        seed=config["seed"],  # the same tasks for every sampler
        code=code_version("validation/exact", "samplers", "priors", "likelihoods", "operators"),
    message:
        "Measuring {wildcards.sampler} against exact posteriors ({wildcards.task})"
    script:
        "../../src/exact.py"
