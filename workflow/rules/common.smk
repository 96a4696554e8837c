"""Everything that is Python in the workflow: settings, seeds, code versions, lists of targets."""

import csv
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

BASE = Path(workflow.basedir)
sys.path.insert(0, str(BASE / "src"))
# for the scripts: this checkout's library comes before one that is installed
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [str(BASE / "src"), os.environ.get("PYTHONPATH")])))
# threads of torch that wait must not spin: on a machine shared with other work that slows small networks fifty times
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from skyscore import settings

# ---------------------------------------------------------------------------- settings


def holds(node, keys):
    """Does the nested dictionary hold the key?"""
    for key in keys:
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


def source_of(keys):
    """Where a setting comes from: the command line, else the last configuration file that holds it."""
    given = workflow.config_settings
    if keys and holds(dict(given.config), keys):
        return "--config"
    for path in [*reversed(given.configfiles), BASE / "config" / "config.yaml"]:
        if holds(yaml.safe_load(Path(path).read_text()), keys):
            return os.path.relpath(path)
    return "configuration"


def checked_config():
    """The configuration with all defaults; one clear line and the end of the run if a setting is wrong."""
    try:
        return settings.check_config(config, source_of)
    except settings.SettingsError as error:
        sys.exit(f"skyscore: error: {error}")


def checked_table(name):
    """The rows of config/<name>.tsv, by data/<host>/<path>."""
    try:
        with open(BASE / "config" / f"{name}.tsv", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        rows = settings.check_table(rows, f"config/{name}.tsv", name)
        return {row["url"].split("://", 1)[1]: row for row in rows}
    except (OSError, settings.SettingsError) as error:
        sys.exit(f"skyscore: error: {error}")


def one_of(names):
    """A regular expression that matches any of the names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


config.update(checked_config())
FILES = checked_table("datasets")


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    split="train|held_out",
    prior=one_of(config["priors"]),
    problem=one_of(config["problems"]),
    sampler=one_of(config["samplers"]),
    task=one_of(config["exact"]["tasks"]),
    path=one_of(FILES),
    exercise=one_of({problem["exercise"] for problem in config["problems"].values()} - {None}),


# ---------------------------------------------------------------------------- params


def seed_of(rule):
    """Seed of a job: a hash of the run's seed, the rule and the wildcards, so that no two jobs share random numbers.

    The same as skyscore.seeds.job_seed, which needs torch.
    """

    def seed(wildcards):
        names = [str(config["seed"]), rule, *wildcards]
        text = "/".join(names)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")

    return seed


def seed_of_observation(wildcards):
    """Seed of an observation; problems that share it share the truth and the realisation of the noise."""
    return seed_of("observe")([config["problems"][wildcards.problem]["same_as"] or wildcards.problem])


def seed_of_images(wildcards):
    """Seed of one split of a data set; the training set's is that of the data set itself."""
    split = [] if wildcards.split == "train" else [wildcards.split]
    return seed_of("prepare")([wildcards.dataset, *split])


def code_version(*modules):
    """Hash of the modules of src/skyscore that decide a job's numbers.

    Snakemake follows the code of a script, not of what it imports: passed as a parameter, this makes a job run again when
    the mathematics behind it has changed, and only then.
    """
    digest = hashlib.sha256()
    for module in modules:
        path = BASE / "src" / "skyscore" / module
        files = sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
        for file in files:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def dataset_settings(wildcards):
    """What decides the images of one split."""
    dataset = config["datasets"][wildcards.dataset]
    kind = dataset["kind"]
    return {"n": dataset[wildcards.split], "pixels": dataset["pixels"], "kind": kind, kind: dataset[kind]}


def prior_settings(wildcards):
    """What decides the weights of a prior; its hash is kept with them.

    How often a checkpoint is kept decides nothing; the default symmetry goes unsaid, as in weights older than the key.
    """
    prior = config["priors"][wildcards.prior]
    dataset = config["datasets"][prior["dataset"]]
    idle = {"checkpoint_every": prior["training"]["checkpoint_every"], "symmetry": "square"}
    return {
        **({"kind": prior["kind"]} if prior["kind"] != "neural" else {}),
        "pixels": dataset["pixels"],
        "images": {"n": dataset["train"], dataset["kind"]: dataset[dataset["kind"]]},
        "network": prior["network"],
        "training": {key: value for key, value in prior["training"].items() if idle.get(key) != value},
    }


def problem_settings(wildcards):
    """What decides an observation: a problem's block without what comes after it, or is an input or a seed.

    In place of the name of a noise model stand the settings of the noise that it was learned from.
    """
    problem = config["problems"][wildcards.problem]
    apart = ("samplers", "n_samples", "prior", "truth", "same_as", "exercise", "noise")
    own = {key: value for key, value in problem.items() if key not in apart}
    if problem["noise"] is None:
        return own
    dataset = config["datasets"][config["priors"][problem["noise"]]["dataset"]]
    return own | {"noise": dataset[dataset["kind"]]}


def default_sampler(problem):
    """The sampler that the report leads with."""
    return config["problems"][problem]["samplers"][0]


def validated_samplers(problem):
    """Samplers whose certificate belongs to the default run: the default one, and those asked for by name."""
    wanted = {default_sampler(problem), *config["validation"]["samplers"]}
    return [sampler for sampler in config["problems"][problem]["samplers"] if sampler in wanted]


def slic_settings(wildcards):
    return {key: value for key, value in config["slic"].items() if key != "prior"}


def exact_settings(wildcards):
    """What decides the tasks of the exact benchmark; which samplers are measured on them does not."""
    return {key: value for key, value in config["exact"].items() if key not in ("samplers", "tasks")}


# ---------------------------------------------------------------------------- inputs


def start_of_prior(wildcards):
    """Weights that come with the repository, if they are there and wanted, or else the training set."""
    weights = f"weights/{wildcards.prior}.safetensors"
    if not config["train"] and Path(weights).exists():
        return weights
    return f"<results>/data/{config['priors'][wildcards.prior]['dataset']}/train.h5"


def held_out_of_prior(wildcards):
    return f"<results>/data/{config['priors'][wildcards.prior]['dataset']}/held_out.h5"


def held_out_of_slic(wildcards):
    return f"<results>/data/{config['priors'][config['slic']['prior']]['dataset']}/held_out.h5"


def held_out_of_problem(wildcards):
    """Images that truths are drawn from."""
    problem = config["problems"][wildcards.problem]
    dataset = problem["truth"] or config["priors"][problem["prior"]]["dataset"]
    return f"<results>/data/{dataset}/held_out.h5"


def population_of_problem(wildcards):
    """Images of the population that the prior was learned from: its moments."""
    prior = config["problems"][wildcards.problem]["prior"]
    return f"<results>/data/{config['priors'][prior]['dataset']}/held_out.h5"


def prior_samples_of_problem(wildcards):
    """Images drawn from the prior of a problem."""
    return f"<results>/priors/{config['problems'][wildcards.problem]['prior']}/samples.h5"


def regression_of(wildcards):
    """Weights of the direct regression, for problems that train one."""
    wanted = config["problems"][wildcards.problem].get("regression", 0)
    return f"<results>/{wildcards.problem}/regression.safetensors" if wanted else []


def prior_of(wildcards):
    return f"<results>/priors/{config['problems'][wildcards.problem]['prior']}.safetensors"


def draws_of_problem(wildcards):
    """Draws of the prior: truths of the validation, and the moments of the prior."""
    return f"<results>/priors/{config['problems'][wildcards.problem]['prior']}/samples.h5"


def noise_model(problem):
    """Name of the noise model of a problem whose noise was learned, or None."""
    return config["problems"][problem]["noise"]


def held_out_noise_of(wildcards):
    """Held-out noise that residuals are compared with, where noise was learned."""
    name = noise_model(wildcards.problem)
    return f"<results>/data/{config['priors'][name]['dataset']}/held_out.h5" if name else []


def drawn_noise_of(wildcards):
    """Draws of the noise model, where noise was learned: what a simulation from the model has as noise."""
    name = noise_model(wildcards.problem)
    return f"<results>/priors/{name}/samples.h5" if name else []


def learned_of_problem(wildcards):
    """Tests of what a problem learned from data: its prior and its noise model."""
    names = [config["problems"][wildcards.problem]["prior"], noise_model(wildcards.problem)]
    return [f"<results>/priors/{name}/pqmass.json" for name in names if name]


def tests_of(problem, samplers):
    """All tests of the samplers on a problem, certificates included."""
    names = ("coverage", "mira", "moments", "pqmass", "certificate")
    return [f"<results>/{problem}/{sampler}/{name}.json" for sampler in samplers for name in names]


def certificates_of(problems):
    """Certificates of the validated samplers."""
    return [f"<results>/{name}/{s}/certificate.json" for name in problems for s in validated_samplers(name)]


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


def rows_of(problem):
    """The rows of datasets.tsv behind a real problem, by the role of each file."""
    data = config["problems"][problem]["data"]
    rows = {row["file"]: (path, row) for path, row in FILES.items() if row["dataset"] == data}
    if data and not rows:
        sys.exit(
            f"skyscore: error: config/datasets.tsv: no row for the dataset {data!r} of problem {problem!r}; add its files"
        )
    return rows


def files_of(wildcards):
    return [f"data/{path}" for path, _ in rows_of(wildcards.problem).values()]


def roles_of(wildcards):
    return list(rows_of(wildcards.problem))


# ---------------------------------------------------------------------------- targets


def problems_of(target, kind=None):
    """Names of the simulated or the real problems of the configuration, exercises left out; `exact` has none."""
    if target == "exact":
        return []
    wanted = {
        name
        for name, problem in config["problems"].items()
        if (problem["data"] is not None) == (target == "real") and problem["exercise"] is None
    }
    return sorted(name for name in wanted if kind in (None, config["problems"][name]["kind"]))


def exercises_of(target):
    """Names of the exercises, which are simulated."""
    if target != "simulated":
        return []
    return sorted({problem["exercise"] for problem in config["problems"].values()} - {None})


def cases_of(exercise):
    """Problems of an exercise in the order of the configuration, after those whose truth and noise they share."""
    own = [name for name, problem in config["problems"].items() if problem["exercise"] == exercise]
    shared = [config["problems"][name]["same_as"] for name in own]
    return list(dict.fromkeys([*(name for name in shared if name and name not in own), *own]))


def labels_of(wildcards):
    """What tells the cases of an exercise apart: their names, and the settings that differ between them."""
    cases = {name: config["problems"][name] for name in cases_of(wildcards.exercise)}
    apart = ("samplers", "n_samples", "same_as", "exercise")
    first = next(iter(cases.values()))
    keys = [
        key for key in first if key not in apart and any(case[key] != first[key] for case in cases.values())
    ]
    return {name: ", ".join([name, *(f"{key} {case[key]}" for key in keys)]) for name, case in cases.items()}


def of_cases(pattern):
    """The pattern filled with each case of an exercise, its prior and its first sampler."""

    def filled(wildcards):
        cases = {name: config["problems"][name] for name in cases_of(wildcards.exercise)}
        return [
            pattern.replace("{problem}", name)
            .replace("{prior}", problem["prior"])
            .replace("{sampler}", problem["samplers"][0])
            for name, problem in cases.items()
        ]

    return filled


def priors_of(target, kind=None):
    """Names of the priors of the target's problems, learned models of their noise among them."""
    names = problems_of(target, kind)
    used = {config["problems"][name][key] for name in names for key in ("prior", "noise")}
    return sorted((used | set(slic_of(target))) - {None})


def slic_of(target):
    """The noise model of SLIC on parameters, if the target has it."""
    return [config["slic"]["prior"]] if target == "simulated" and config["slic"]["prior"] else []


def exact_of(target):
    return config["exact"]["samplers"] if target in ("simulated", "exact") else []


def exact_numbers(target):
    """The files of the exact benchmark, one per sampler and task."""
    pairs = [(sampler, task) for sampler in exact_of(target) for task in config["exact"]["tasks"]]
    return [f"<results>/exact/{sampler}/{task}.json" for sampler, task in pairs]


def each(pattern, target, kind=None):
    """The pattern filled with every problem and each of its samplers."""
    pairs = [
        (name, sampler)
        for name in problems_of(target, kind)
        for sampler in config["problems"][name]["samplers"]
    ]
    return [pattern.replace("{problem}", name).replace("{sampler}", sampler) for name, sampler in pairs]


def downloads():
    return [f"data/{path}" for path in FILES]


def certified_of(target, kind=None):
    """Problems that get certificates: the simulated ones."""
    return problems_of(target, kind) if target == "simulated" else []


def figures(target, kind=None):
    return [
        *(f"<results>/figures/coverage_{problem}.pdf" for problem in certified_of(target, kind)),
        *(f"<results>/figures/moments_{problem}.pdf" for problem in certified_of(target, kind)),
        *(["<results>/figures/certificates.pdf"] if certified_of(target) else []),
        *(["<results>/figures/control.pdf"] if certified_of(target) else []),
        *(f"<results>/figures/prior_{prior}.pdf" for prior in priors_of(target, kind)),
        *each("<results>/figures/{problem}_{sampler}.pdf", target, kind),
        *(f"<results>/figures/comparison_{problem}.pdf" for problem in problems_of(target, kind)),
        *(f"<results>/figures/exercise_{exercise}.pdf" for exercise in exercises_of(target)),
        *(["<results>/figures/slic.pdf"] if slic_of(target) else []),
        *(["<results>/figures/exact.pdf"] if exact_of(target) else []),
    ]


def measured(target, kind=None):
    """The files of numbers of all validating jobs."""
    return [
        *(f"<results>/priors/{prior}/pqmass.json" for prior in priors_of(target, kind)),
        *(f"<results>/{problem}/observation.json" for problem in problems_of(target, kind)),
        *(f"<results>/{problem}/baselines.json" for problem in problems_of(target, kind)),
        *(f"<results>/{problem}/comparison.json" for problem in problems_of(target, kind)),
        *each("<results>/{problem}/{sampler}/residuals.json", target, kind),
        *(f"<results>/exercises/{exercise}.json" for exercise in exercises_of(target)),
        *(["<results>/slic/parameters.json"] if slic_of(target) else []),
        *exact_numbers(target),
        *(
            path
            for problem in certified_of(target, kind)
            for path in tests_of(problem, validated_samplers(problem))
        ),
        *(["<results>/control.json"] if certified_of(target) else []),
    ]


def products(target, kind=None):
    """Everything a target makes. Asking for real problems where none is configured is answered with the remedy."""

    def wanted(wildcards):
        if not problems_of(target, kind) + exact_of(target):
            raise WorkflowError(f"no {target} problem is configured; add --configfile config/real.yaml")
        paths = figures(target, kind) + each("<results>/{problem}/{sampler}/posterior.fits", target, kind)
        numbers = ["<results>/numbers.json"] if target == config["target"] and kind is None else measured(target, kind)
        return paths + numbers

    return wanted


def every_sampler(target):
    """Certificates of all samplers of all problems, validated by default or not."""
    return [
        path for name in certified_of(target) for path in tests_of(name, config["problems"][name]["samplers"])
    ]


# what an ensemble costs, said before it is drawn
BUDGET = (
    f"Sampling {config['validation']['simulations']} + {config['validation']['held_out']} simulations of "
    "{wildcards.problem} by {wildcards.sampler}: {params.n} samples each, {params.sampler[steps]} steps"
)


def headlines():
    """What a finished run says: where to look, and its first numbers."""
    results = Path(config["pathvars"]["results"])
    path = results / "numbers.json"
    if not path.exists():
        return "Done."
    numbers = json.loads(path.read_text())
    lead = ("certified", "chi2_dof", "einstein_radius_arcsec")
    chosen = {key: value for key, value in numbers.items() if key.rsplit("/", 1)[-1] in lead}
    lines = [f"  {key:<40} {value:.3f}" for key, value in chosen.items()]
    given = [os.path.relpath(path) for path in workflow.config_settings.configfiles]
    overlay = f" --configfile {' '.join(given)}" if given else ""
    return "\n".join(
        [
            f"Done. Figures in {results}/figures, all numbers in {path}",
            *lines,
            f"Report: snakemake --report {results}/report.html{overlay}",
        ]
    )
