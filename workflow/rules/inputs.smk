"""What jobs read, as functions of their wildcards."""


def start_of_prior(wildcards):
    """Weights that come with the repository, if they are there and wanted, or else the training set."""
    weights = f"weights/{wildcards.prior}.safetensors"
    if not config["train"] and Path(weights).exists():
        return weights
    return f"<results>/data/{config['priors'][wildcards.prior]['dataset']}/train.h5"


def held_out(prior):
    """Images of the population that a prior was learned from, which its training never saw."""
    return f"<results>/data/{config['priors'][prior]['dataset']}/held_out.h5"


def held_out_of_prior(wildcards):
    return held_out(wildcards.prior)


def held_out_of_slic(wildcards):
    return held_out(config["slic"]["prior"])


def held_out_of_problem(wildcards):
    """Images that truths are drawn from."""
    problem = config["problems"][wildcards.problem]
    return (
        f"<results>/data/{problem['truth']}/held_out.h5" if problem["truth"] else held_out(problem["prior"])
    )


def population_of_problem(wildcards):
    """Images of the population that the prior was learned from: its moments."""
    return held_out(config["problems"][wildcards.problem]["prior"])


def regression_of(wildcards):
    """Weights of the direct regression, for problems that train one."""
    wanted = config["problems"][wildcards.problem].get("regression", 0)
    return f"<results>/{wildcards.problem}/regression.safetensors" if wanted else []


def prior_of(wildcards):
    return f"<results>/priors/{config['problems'][wildcards.problem]['prior']}.safetensors"


def draws_of_problem(wildcards):
    """Draws of the prior: truths of the validation, and the moments of the prior."""
    return f"<results>/priors/{config['problems'][wildcards.problem]['prior']}/samples.h5"


def held_out_noise_of(wildcards):
    """Held-out noise that residuals are compared with, where noise was learned."""
    name = config["problems"][wildcards.problem]["noise"]
    return held_out(name) if name else []


def drawn_noise_of(wildcards):
    """Draws of the noise model, where noise was learned: what a simulation from the model has as noise."""
    name = config["problems"][wildcards.problem]["noise"]
    return f"<results>/priors/{name}/samples.h5" if name else []


def learned_of_problem(wildcards):
    """Tests of what a problem learned from data: its prior and its noise model."""
    names = [config["problems"][wildcards.problem]["prior"], config["problems"][wildcards.problem]["noise"]]
    return [f"<results>/priors/{name}/pqmass.json" for name in names if name]


def of_validated(pattern):
    """The pattern filled with a problem and each of its validated samplers."""

    def filled(wildcards):
        name = wildcards.problem
        return [
            pattern.replace("{problem}", name).replace("{sampler}", sampler)
            for sampler in validated_samplers(name)
        ]

    return filled


def noise_of(wildcards):
    """The learned noise model of a problem, if it has one."""
    noise = config["problems"][wildcards.problem]["noise"]
    return f"<results>/priors/{noise}.safetensors" if noise else []


def posteriors_of_problem(wildcards):
    samplers = config["problems"][wildcards.problem]["samplers"]
    return [f"<results>/{wildcards.problem}/{sampler}/posterior.h5" for sampler in samplers]


def ensembles_of(wildcards):
    """The parts of the posterior samples of all simulations, in order."""
    total = simulations_of(wildcards) + config["validation"]["held_out"]
    parts = range(-(-total // config["validation"]["chunk"]))
    return [f"<results>/{wildcards.problem}/{wildcards.sampler}/ensemble_{part}.h5" for part in parts]


def rows_of(data, wanted_by):
    """The rows of datasets.tsv of one data set, by the role of each file."""
    rows = {row["file"]: (path, row) for path, row in FILES.items() if row["dataset"] == data}
    if data and not rows:
        sys.exit(
            f"skyscore: error: config/datasets.tsv: no row for the dataset {data!r} of {wanted_by}; add its files"
        )
    return rows


def own_files(name):
    """A problem's own files by role; where one is not there the run ends, and says which."""
    files = config["problems"][name]["files"]
    absent = [f"{role} {path!r}" for role, path in files.items() if not Path(path).is_file()]
    if absent:
        place = f"{source_of(('problems', name, 'files'))}: problems.{name}.files"
        remedy = f"correct the path or put the file there (paths are from {Path.cwd()})"
        sys.exit(f"skyscore: error: {place}: no such file: {', '.join(absent)}; {remedy}")
    return files


def paths_of(data, wanted_by):
    """Files by role: of a data set of datasets.tsv, or the own ones of the problem of that name."""
    if config["problems"].get(data, {}).get("files"):
        return own_files(data)
    return {role: f"data/{path}" for role, (path, _) in rows_of(data, wanted_by).items()}


def paths_of_problem(name):
    problem = config["problems"][name]
    return own_files(name) if problem["files"] else paths_of(problem["data"], f"problem {name!r}")


def known_roles(name):
    """Roles of a problem's files, there or not."""
    problem = config["problems"][name]
    return problem["files"] or rows_of(problem["data"], f"problem {name!r}")


def files_of(wildcards):
    return list(paths_of_problem(wildcards.problem).values())


def roles_of(wildcards):
    return list(paths_of_problem(wildcards.problem))


def paths_of_images(name):
    """The files behind a training set that is cut from data, by <data set>/<role>."""
    return {
        f"{data}/{role}": path
        for data in config["datasets"][name]["data"]
        for role, path in paths_of(data, f"training set {name!r}").items()
    }


def files_of_images(wildcards):
    return list(paths_of_images(wildcards.dataset).values())


def roles_of_images(wildcards):
    return list(paths_of_images(wildcards.dataset))


def require_downloads():
    """Ends a run before its first job if a file that one of its jobs is to fetch cannot be had, and lists all of them."""
    wanted = {job.wildcards.path for job in workflow.dag.needrun_jobs() if job.rule.name == "download_file"}
    try:
        preflight.require([FILES[path] for path in sorted(wanted)], config["mirror"])
    except preflight.MissingFiles as missing:
        sys.exit(f"skyscore: error: {missing}")
