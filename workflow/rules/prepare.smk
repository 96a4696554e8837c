rule prepare:
    input:
        files=files_of_images,
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
        mem_mb=growing(4000, images),
        runtime=600,
    params:
        split="{split}",
        settings=dataset_settings,
        roles=roles_of_images,
        seed=seed_of_images,
        code=code_version("simulate"),
    message:
        "Making the {wildcards.split} images of {wildcards.dataset}"
    script:
        "../../src/prepare.py"
