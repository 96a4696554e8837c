rule prepare:
    input:
        files=plan.inputs.files_of_images,
    output:
        dataset="<results>/data/{dataset}/{split}.h5",
    log:
        "<logs>/prepare/{dataset}_{split}.log",
    benchmark:
        "<benchmarks>/prepare/{dataset}_{split}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.images),
        runtime=600,
    params:
        split="{split}",
        settings=plan.parameters.dataset,
        roles=plan.parameters.roles_of_images,
        seed=plan.parameters.seed_of_images,
        code=plan.code.version("prepare/prepare"),
    message:
        "Making the {wildcards.split} images of {wildcards.dataset}"
    script:
        "../../src/scripts/prepare/prepare.py"
