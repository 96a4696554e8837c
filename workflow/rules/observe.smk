rule observe:
    input:
        held_out=held_out_of_problem,
        files=files_of,
    output:
        observation="<results>/{problem}/observation.h5",
        numbers="<results>/{problem}/observation.json",
    log:
        "<logs>/observe/{problem}.log",
    benchmark:
        "<benchmarks>/observe/{problem}.tsv"
    priority: 3  # all of a problem waits for it
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=growing(4000, matrices),
        runtime=120,
    params:
        name="{problem}",
        settings=problem_settings,
        roles=roles_of,
        seed=seed_of_observation,
        code=code_version("problems", "operators", "likelihoods", "simulate"),
    message:
        "Observing {wildcards.problem}"
    script:
        "../../src/observe.py"
