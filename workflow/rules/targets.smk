"""What the targets of the Snakefile are made of."""


def problems_of(target, kind=None):
    """Names of the simulated or the real problems of the configuration, exercises left out; `exact` has none."""
    if target == "exact":
        return []
    wanted = {
        name
        for name, problem in config["problems"].items()
        if settings.is_real(problem) == (target == "real") and problem["exercise"] is None
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
    apart = ("samplers", "n_samples", "simulations", "same_as", "exercise")
    first = next(iter(cases.values()))
    keys = [
        key for key in first if key not in apart and any(case[key] != first[key] for case in cases.values())
    ]

    def shown(value):
        return f"{value:g}" if isinstance(value, float) else value  # 30, also where a default says 30.0

    return {
        name: ", ".join([name, *(f"{key} {shown(case[key])}" for key in keys if case[key] is not None)])
        for name, case in cases.items()
    }


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


def family_of(target="real", kind=None):
    """The real lenses, whose sources are shown side by side where there is more than one."""
    return problems_of(target, "lens") if target == "real" and kind in (None, "lens") else []


def of_family(pattern):
    """The pattern filled with each lens of the family photo and its first sampler."""
    return [
        pattern.replace("{problem}", name).replace("{sampler}", default_sampler(name)) for name in family_of()
    ]


def with_role(figure, role, target, kind, of_kind):
    """Figures of the real problems of a kind that come with files of a role, by the sampler that the report leads with."""
    names = problems_of("real", of_kind) if target == "real" and kind in (None, of_kind) else []
    return [
        f"<results>/figures/{figure}_{name}_{default_sampler(name)}.pdf"
        for name in names
        if role in known_roles(name)
    ]


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
    """All files that jobs fetch by themselves."""
    return [f"data/{path}" for path, row in FILES.items() if row["fetch"] == "auto"]


def certified_of(target, kind=None):
    """Problems that get certificates: the simulated ones."""
    return problems_of(target, kind) if target == "simulated" else []


def tests_of(problem, samplers):
    """All tests of the samplers on a problem, certificates included."""
    names = ("coverage", "mira", "moments", "pqmass", "certificate")
    return [f"<results>/{problem}/{sampler}/{name}.json" for sampler in samplers for name in names]


def certificates_of(problems):
    """Certificates of the validated samplers."""
    return [f"<results>/{name}/{s}/certificate.json" for name in problems for s in validated_samplers(name)]


def figures(target, kind=None):
    return [
        *(f"<results>/figures/coverage_{problem}.pdf" for problem in certified_of(target, kind)),
        *(f"<results>/figures/moments_{problem}.pdf" for problem in certified_of(target, kind)),
        *(["<results>/figures/certificates.pdf"] if certified_of(target) else []),
        *(["<results>/figures/samplers_validated.pdf"] if certified_of(target) and kind is None else []),
        *(["<results>/figures/control.pdf"] if certified_of(target) else []),
        *(f"<results>/figures/prior_{prior}.pdf" for prior in priors_of(target, kind)),
        *each("<results>/figures/{problem}_{sampler}.pdf", target, kind),
        *(f"<results>/figures/comparison_{problem}.pdf" for problem in problems_of(target, kind)),
        *(f"<results>/figures/exercise_{exercise}.pdf" for exercise in exercises_of(target)),
        *(["<results>/figures/family.pdf"] if len(family_of(target, kind)) > 1 else []),
        *with_role("clusters", "clusters", target, kind, "kappa"),
        *with_role("profile", "profile", target, kind, "radio"),
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
        paths = damaged() if target == config["target"] and kind is None else []
        paths += figures(target, kind) + each("<results>/{problem}/{sampler}/posterior.fits", target, kind)
        numbers = (
            ["<results>/numbers.json"]
            if target == config["target"] and kind is None
            else measured(target, kind)
        )
        return paths + numbers

    return wanted


def samplers_compared(target, scope):
    """Samplers of each problem that gets certificates: those validated by default, or all of them."""
    return {
        name: validated_samplers(name) if scope == "validated" else config["problems"][name]["samplers"]
        for name in certified_of(target)
    }


def tests_of_samplers(target, scope):
    """Tests and certificates of these samplers."""
    return [
        path
        for problem, samplers in samplers_compared(target, scope).items()
        for path in tests_of(problem, samplers)
    ]


def damaged():
    """Files that were set aside because they are not what was written, as far as a rule of this configuration makes them.

    They are asked for by name: Snakemake does not miss a file whose readers have been served.
    """
    return [path for path in RUN.to_be_made_again() if any(rule.is_producer(path) for rule in workflow.rules)]


def begin_run():
    """Before the first job: can files be had, and results be written at all? Then this run is entered in the book."""
    require_downloads()
    if wrong := restart.unwritable(config["pathvars"]["results"]):
        sys.exit(f"skyscore: error: {wrong}")
    if workflow.local_exec:
        # Snakemake 9's limit of 100 jobs a second wakes the scheduler once a second, and once more for every job that
        # has ended: after 80 of them it took a seventh of a core
        workflow.scheduler.job_rate_limiter = None
    RUN.started()


# what an ensemble costs, said before it is drawn
BUDGET = (
    "Sampling all simulations of {wildcards.problem} by {wildcards.sampler}: {params.n} samples each, "
    "{params.sampler[steps]} steps"
)


def said_at_the_end():
    """What a finished run says: where to look, how its posteriors did, and how to make its report."""
    results = Path(config["pathvars"]["results"])
    path = results / "numbers.json"
    given = workflow.config_settings
    files = [os.path.relpath(file) for file in given.configfiles]
    made_by = headlines.report_command(results, files, given.config, workflow.dag_settings.targets)
    leads = {name: default_sampler(name) for name in problems_of(config["target"])}
    return headlines.headlines(json.loads(path.read_text()) if path.exists() else {}, results, made_by, leads)


onstart:
    begin_run()


onsuccess:
    RUN.ended()
    print(said_at_the_end())
