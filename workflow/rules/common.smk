"""Everything that is Python in the workflow: settings, seeds, code versions, lists of targets."""

import hashlib
import json
import os
import re
import sys
from functools import cache
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

BASE = Path(workflow.basedir)
sys.path.insert(0, str(BASE / "src"))
# for the scripts: this checkout's library comes before one that is installed
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [str(BASE / "src"), os.environ.get("PYTHONPATH")])))
# threads of torch that wait must not spin: on a machine shared with other work that slows small networks fifty times
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from skyscore import hardware, headlines, preflight, restart, settings

# ---------------------------------------------------------------------------- settings


def holds(node, keys):
    """Does the nested dictionary hold the key?"""
    for key in keys:
        if not isinstance(node, dict) or key not in node:
            return False
        node = node[key]
    return True


@cache
def settings_in(path):
    return yaml.safe_load(Path(path).read_text())


def source_of(keys):
    """Where a setting comes from: the command line, else the last configuration file that holds it."""
    given = workflow.config_settings
    if keys and holds(dict(given.config), keys):
        return "--config"
    for path in [*reversed(given.configfiles), BASE / "config" / "config.yaml"]:
        if holds(settings_in(path), keys):
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
        rows = settings.read_table(BASE / "config" / f"{name}.tsv", f"config/{name}.tsv", name)
        return {row["url"].split("://", 1)[1]: row for row in rows}
    except settings.SettingsError as error:
        sys.exit(f"skyscore: error: {error}")


def one_of(names):
    """A regular expression that matches any of the names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


config.update(checked_config())
FILES = checked_table("datasets")

# what a killed run left; not in the processes that a cluster starts for its jobs, and a dry run moves nothing
RUN = restart.Run(".snakemake", [config["pathvars"]["results"], "data"])
if workflow.is_main_process:
    dry = any(re.fullmatch(r"--dry-?run|-[a-zA-Z]*n[a-zA-Z]*", word) for word in sys.argv[1:])
    for line in RUN.take_up() + ([] if dry else RUN.check()):
        print(f"skyscore: {line}", file=sys.stderr)


# threads of jobs that can use several: a job that asks for all cores waits until they are idle, and what needs it waits
# too; two on a cluster, where a job does not know the number of cores
HALF = max(1, (workflow.resource_settings.cores or 4) // 2)


# in the memory of a job at once
COPIES, MATRICES = 3, 10
WHOLE = 64  # pixels on a side of a convergence map whose operator is decomposed unless asked for, as KappaProblem has it


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    split="train|held_out",
    prior=one_of(config["priors"]),
    problem=one_of(config["problems"]),
    sampler=one_of(config["samplers"]),
    task=one_of(config["exact"]["tasks"]),
    path=one_of(FILES),
    exercise=one_of({problem["exercise"] for problem in config["problems"].values()} - {None}),


# ---------------------------------------------------------------------------- resources and params


def growing(mb, more=lambda wildcards: 0):
    """Memory of a job [MB]: as much again with each attempt, so that one which ran out of it gets more the next time.

    The attempts are those of a profile's `retries`; a rule's own would stay inside the memory that was too small.
    """
    return lambda wildcards, attempt: (mb + more(wildcards)) * attempt


def images(wildcards):
    """Memory [MB] of a job that holds the images of a data set, or of a prior's, and copies of them."""
    name = wildcards.get("dataset") or config["priors"][wildcards.prior]["dataset"]
    dataset = config["datasets"][name]
    return COPIES * 4 * dataset[wildcards.get("split", "train")] * dataset["pixels"] ** 2 // 10**6


def matrices(wildcards):
    """Memory [MB] of a job that decomposes a problem's operator: matrices of pixels^2 x pixels^2 in float64."""
    problem = config["problems"][wildcards.problem]
    pixels = config["datasets"][config["priors"][problem["prior"]]["dataset"]]["pixels"]
    if problem["kind"] == "kappa" and not (
        pixels <= WHOLE if problem["decompose"] is None else problem["decompose"]
    ):
        return 0
    return MATRICES * 8 * pixels**4 // 10**6


def one_gpu(wildcards):
    """One GPU for a job; none on a machine without any, where jobs need not take turns but for the cores."""
    return int(not workflow.local_exec or hardware.has_gpu())


def gpus_of_training(wildcards):
    """As many GPUs as share a batch."""
    return one_gpu(wildcards) * config["priors"][wildcards.prior]["training"]["devices"]


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


def seed_of_ensemble(wildcards):
    """Seed of the posterior samples of all simulations: the same for all parts, which draw their own from it."""
    return seed_of("sample_ensemble")([wildcards.problem, wildcards.sampler])


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


def simulations_of(wildcards):
    """Simulations drawn from the prior behind the certificates of a problem."""
    return config["problems"][wildcards.problem]["simulations"] or config["validation"]["simulations"]


def first_of_part(wildcards):
    """Number of the first simulation in one part of an ensemble."""
    return int(wildcards.part) * config["validation"]["chunk"]


def prior_settings(wildcards):
    """What decides the weights of a prior; its hash is kept with them.

    How often a checkpoint is kept and how many devices share a batch decide nothing.
    """
    prior = config["priors"][wildcards.prior]
    training = {
        key: value
        for key, value in prior["training"].items()
        if key not in ("checkpoint_every", "devices", "short")
    }
    if config["train"] is True:
        training["steps"] = min(training["steps"], prior["training"]["short"])
    dataset = config["datasets"][prior["dataset"]]
    return {
        "kind": prior["kind"],
        "pixels": dataset["pixels"],
        "images": {
            "n": dataset["train"],
            dataset["kind"]: dataset[dataset["kind"]],
            **({"data": dataset["data"]} if dataset["data"] else {}),
        },
        "network": prior["network"],
        "training": training,
    }


def problem_settings(wildcards):
    """What decides an observation: a problem's block without what comes after it, or is an input or a seed.

    In place of the name of a noise model stand the settings of the noise that it was learned from.
    """
    problem = config["problems"][wildcards.problem]
    apart = (
        "samplers",
        "n_samples",
        "simulations",
        "prior",
        "truth",
        "same_as",
        "exercise",
        "noise",
        "files",
    )
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
