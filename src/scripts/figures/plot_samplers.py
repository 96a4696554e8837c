"""Figure and table of all samplers on all problems.

Reads the numbers of their tests, their certificates and the exact benchmark; writes PDF, PNG, the report's caption and,
in a separate file, the numbers shown.
"""

from collections import defaultdict

from skyscore import io, plotting
from skyscore.provenance import provenance
from skyscore.report.tables import HEADS, cells

KEPT = (
    *("z2", "z2_error", "tarp_p", "mira_z", "pqmass_pooled_p", "chi2_mean"),
    *("certified", "ensemble_cost", "ensemble_seconds"),
)


def by_pair(contents):
    """Numbers of the tests by problem and sampler, and the ranges that certificates allow, `<number>_allowed`."""
    found = defaultdict(lambda: defaultdict(dict))
    for content in contents:
        for key, value in content["numbers"].items():
            if key.count("/") == 2:
                problem, sampler, name = key.split("/")
                found[problem][sampler][name] = value
        for check in content.get("certificate", {}).get("checks", []):
            found[problem][sampler][f"{check['name']}_allowed"] = check["low"], check["high"]
    return found


def exact_means(contents):
    """Mean over tasks, for every sampler of the exact benchmark, of its distance over the floor and of its cost."""
    ratios = defaultdict(list)
    for content in contents:
        for key, value in content["numbers"].items():
            _, sampler, _, name = key.split("/")
            if name in ("ratio", "cost"):
                ratios[sampler, name].append(value)
    return {key: sum(values) / len(values) for key, values in ratios.items()}


def main(tests, exact, pdf, png, caption, numbers, *, order, code=None):
    contents, posteriors = [io.read_json(path) for path in tests], [io.read_json(path) for path in exact]
    pairs = by_pair(contents)
    found = {problem: {name: pairs[problem][name] for name in names} for problem, names in order.items()}
    sources = [content["provenance"] for content in (*contents, *posteriors)]
    source = provenance({"drawn_from": sources}, code=code)
    io.write_figure([pdf, png], plotting.draw_samplers(found), source)
    rows, flat = [], {}
    for problem, samplers in found.items():
        for name, one in samplers.items():
            rows.append(cells(problem, name, one))
            for key, value in one.items():
                of_scales = key.startswith(("error_of_mean", "z2_k")) and not key.endswith("_allowed")
                if key in KEPT or of_scales:
                    flat[f"{problem}/{name}/{key}"] = value
    means = exact_means(posteriors)
    for (name, key), value in means.items():
        flat[f"exact/{name}/{key}"] = value
    parts = [io.csv_table(HEADS, rows)]
    if means:
        names = list(dict.fromkeys(name for name, _ in means))
        exactly = [(n, f"{means[n, 'ratio']:.2f}", f"{means[n, 'cost']:.0f}") for n in names]
        heads = ("sampler", "distance to exact posteriors / floor, mean over tasks", "evaluations")
        parts.append(io.csv_table(heads, exactly))
    io.write_caption(caption, parts, sources[0])
    io.write_numbers(numbers, flat, source)


if "snakemake" in globals():
    with io.logged(snakemake.log[0], snakemake.threads, snakemake.config, snakemake.rule):
        i = snakemake.input
        main(list(i.tests), list(i.exact), **snakemake.output, **snakemake.params)
