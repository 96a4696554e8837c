rule train_prior:
    input:
        start=plan.inputs.start_of_prior,
    output:
        prior="<results>/priors/{prior}.safetensors",
    log:
        "<logs>/train_prior/{prior}.log",
    benchmark:
        "<benchmarks>/train_prior/{prior}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: plan.needs.half  # the second thread of a training is idle for nine tenths of its time
    resources:
        mem_mb=plan.needs.memory(4000, plan.needs.images),
        runtime=1440,
        gpu=plan.needs.gpus_of_training,
    params:
        settings=plan.parameters.prior,
        seed=plan.parameters.seed("train_prior"),
        name="{prior}",
        checkpoint_every=lookup(within=config, dpath="priors/{prior}/training/checkpoint_every"),
        devices=lookup(within=config, dpath="priors/{prior}/training/devices"),
        precision=lookup(within=config, dpath="priors/{prior}/training/precision"),
        code=plan.code.version("train/train_prior"),
    message:
        "Learning the prior {wildcards.prior} (or taking the weights that come with the repository)"
    script:
        "../../src/scripts/train/train_prior.py"


rule sample_prior:
    input:
        prior="<results>/priors/{prior}.safetensors",
    output:
        samples="<results>/priors/{prior}/samples.h5",
    log:
        "<logs>/sample_prior/{prior}.log",
    benchmark:
        "<benchmarks>/sample_prior/{prior}.tsv"
    priority: 4  # minutes, and the certificates wait for it
    conda:
        "../../envs/torch.yaml"
    threads: 1
    resources:
        mem_mb=plan.needs.memory(4000),
        runtime=120,
        gpu=plan.needs.one_gpu,
    params:
        n=lookup(within=config, dpath="priors/{prior}/sampling/n"),
        steps=lookup(within=config, dpath="priors/{prior}/sampling/steps"),
        seed=plan.parameters.seed("sample_prior"),
        code=plan.code.version("train/sample_prior"),
    message:
        "Drawing images from the prior {wildcards.prior}"
    script:
        "../../src/scripts/train/sample_prior.py"
