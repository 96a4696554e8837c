rule observe:
    input:
        held_out=plan.inputs.truths,
        files=plan.inputs.files,
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
        mem_mb=plan.needs.memory(4000, plan.needs.matrices),
        runtime=120,
    params:
        name="{problem}",
        settings=plan.parameters.problem,
        roles=plan.parameters.roles,
        seed=plan.parameters.seed_of_observation,
        code=plan.code.version("observe/observe"),
    message:
        "Observing {wildcards.problem}"
    script:
        "../../src/scripts/observe/observe.py"
