for figure in plan.figures:

    rule:
        name:
            f"plot_{figure.name}"
        input:
            **figure.inputs,
        output:
            **figure.outputs,
            pdf=f"<results>/figures/{figure.file}.pdf",
            png=report(
                f"<results>/figures/{figure.file}.png",
                caption=f"../report/{figure.name}.rst",
                category=figure.category,
                subcategory=figure.subcategory,
                labels=figure.labels,
            ),
            caption=f"<results>/figures/{figure.file}.rst",
        log:
            f"<logs>/{figure.log}.log",
        benchmark:
            f"<benchmarks>/{figure.log}.tsv"
        conda:
            "../../envs/figures.yaml"
        threads: 1
        resources:
            mem_mb=plan.needs.memory(figure.memory),
            runtime=10,
        params:
            **figure.params,
            code=plan.code.version(f"figures/plot_{figure.name}"),
        message:
            figure.message
        script:
            # evaluated when the file is read, and again when the job runs: then `figure` is the last one, and `rule` is known
            f"../../src/scripts/figures/{vars().get('rule', f'plot_{figure.name}')}.py"
