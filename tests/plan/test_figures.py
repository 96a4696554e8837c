"""The figures of a run: each has a script, a caption and a place in the report, and targets ask for no others."""

from __future__ import annotations

import re

import pytest

from tests.helpers.plan import Views, rules, wildcards
from tests.helpers.workflow import ROOT


@pytest.fixture(scope="module")
def views() -> dict[str, Views]:
    return {"simulated": Views(), "real": Views("real")}


def test_each_figure_has_a_script_and_a_caption(views):
    figures = views["simulated"].figures
    scripts = {path.stem for path in (ROOT / "src" / "scripts" / "figures").glob("*.py")}
    assert {f"plot_{figure.name}" for figure in figures} == scripts
    for figure in figures:
        assert (ROOT / "workflow" / "report" / f"{figure.name}.rst").is_file(), figure.name


def test_names_and_files_are_unique(views):
    figures = views["simulated"].figures
    assert (
        len({figure.name for figure in figures}) == len({figure.file for figure in figures}) == len(figures)
    )


@pytest.mark.parametrize("target", ["simulated", "real"])
def test_each_file_of_a_target_is_drawn_by_a_rule(views, target):
    """Patterns may overlap: wildcard constraints of the Snakefile tell them apart."""
    patterns = [re.sub(r"\{\w+\}", r"\\w+", figure.file) for figure in views[target].figures]
    for path in views[target].targets.figures(target):
        name = path.removeprefix("<results>/figures/").removesuffix(".pdf")
        assert any(re.fullmatch(pattern, name) for pattern in patterns), name


def test_wildcards_of_labels_are_those_of_the_file(views):
    def named(text):
        return set(re.findall(r"\{(\w+)\}", text or ""))

    for figure in views["simulated"].figures:
        shown = [*figure.labels.values(), figure.subcategory, *figure.outputs.values()]
        shown += [value for value in figure.params.values() if isinstance(value, str)]
        shown += [value for value in figure.inputs.values() if isinstance(value, str)]
        assert set().union(*map(named, shown)) <= named(figure.file), figure.name
        assert set(re.findall(r"\{wildcards\.(\w+)\}", figure.message)) <= named(figure.file), figure.name


def test_logs_are_apart(views):
    logs = {figure.name: figure.log for figure in views["simulated"].figures}
    assert logs["exact"] == "plot_exact"
    assert logs["prior"] == "plot_prior/{prior}"
    assert logs["posterior"] == "plot_posterior/{problem}_{sampler}"
    assert len(set(logs.values())) == len(logs)


def test_inputs_follow_the_problem_and_the_target(views):
    figures = {figure.name: figure for figure in views["simulated"].figures}
    lens = wildcards(problem="lens")
    assert figures["coverage"].inputs["numbers"](lens) == [
        f"<results>/lens/{sampler}/coverage.json" for sampler in ("mmps", "cla")
    ]
    assert figures["coverage"].params["samplers"](lens) == ["mmps", "cla"]
    validated, every = wildcards(scope="validated"), wildcards(scope="all")
    tests = figures["samplers"].inputs["tests"]
    assert set(tests(validated)) < set(tests(every))
    assert figures["samplers"].params["order"](every)["lens"] == ["mmps", "tds", "cla"]
    assert figures["family"].params == {"problems": [], "samplers": []}  # it needs real lenses
    family = next(figure for figure in views["real"].figures if figure.name == "family")
    assert family.params["problems"] == views["real"].problems.of("real", "lens")
    assert len(family.inputs["posteriors"]) == len(family.params["problems"]) > 1


def test_snakemake_makes_a_rule_of_each_figure(views):
    for figure in views["simulated"].figures:
        rule = rules()[f"plot_{figure.name}"]
        assert rule["script"] == f"../../src/scripts/figures/plot_{figure.name}.py"
        assert rule["message"] == figure.message
        bare = [re.sub(r"\{(\w+),[^}]*\}", r"{\1}", path) for path in rule["output"]]
        expected = [f"results/demo/figures/{figure.file}.{kind}" for kind in ("pdf", "png", "rst")]
        others = [path.replace("<results>", "results/demo") for path in figure.outputs.values()]
        assert sorted(bare) == sorted(expected + others)
