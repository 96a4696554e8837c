"""The made parts of the pages are what their programs make, and quoted numbers are those of the recorded runs."""

from __future__ import annotations

import ast
import json
import re

import networkx as nx
import pytest

from docs.make import config_reference, gallery, messages, numbers, pages, reliability, rule_graph, tables
from skyscore.config.catalogue import dataset_kinds, problem_files, problem_kinds, sampler_options
from skyscore.report import tables as report
from tests.helpers import faults
from tests.helpers.workflow import ROOT

PAGES = {path.relative_to(ROOT).as_posix(): path for path in pages.pages(ROOT)}
MADE = {name: path for name, path in PAGES.items() if "[[[cog" in path.read_text()}


# ---------------------------------------------------------------------------- blocks


@pytest.mark.parametrize("name", MADE)
def test_made_blocks_are_up_to_date(name):
    assert pages.made(MADE[name]) == MADE[name].read_text(), "run: make docs"


def test_a_block_is_made_anew(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- [[[cog cog.outl(str(6 * 7)) ]]] -->\nold\n<!-- [[[end]]] -->\n<!-- r:a:.1f -->?<!-- -->\n"
    )
    made = pages.made(page, {"r": {"a": 1.25}})
    assert made == (
        "<!-- [[[cog cog.outl(str(6 * 7)) ]]] -->\n42\n<!-- [[[end]]] -->\n<!-- r:a:.1f -->1.2<!-- -->\n"
    )


def test_the_configuration_is_described_completely():
    """Every key of every kind, role of a file and option of a sampler, on the page where it is looked for."""
    text = {
        name: PAGES[f"docs/reference/{name}.md"].read_text()
        for name in ("configuration", "configuration-problems")
    }
    for kind, node in dataset_kinds().items():
        part = text["configuration"].partition(f"## Data sets of kind `{kind}`")[2].partition("\n## ")[0]
        for key in node["properties"]:
            assert f"| `{key}" in part, (kind, key)
    for kind, node in problem_kinds().items():
        part = (
            text["configuration-problems"].partition(f"## Problems of kind `{kind}`")[2].partition("\n## ")[0]
        )
        for key in [*node["properties"], *problem_files()[kind]]:
            assert f"| `{key}" in part, (kind, key)
    parts = config_reference.options().split("\n## ")
    common = next(part for part in parts if "Options of every sampler" in part)
    assert "| `steps` | `100` |" in common and ":mod:" not in config_reference.options()
    for name, options in sampler_options().items():
        own = next(part for part in parts if part.startswith(f"`{name}`"))
        for key in options:
            assert f"| `{key}` |" in common + own, (name, key)


def test_a_cell_of_a_table_shows_what_it_says():
    assert (
        config_reference.cell("as <host>/<path>,\n `<key>` of E[x | y]")
        == "as &lt;host>/&lt;path>, `<key>` of E[x \\| y]"
    )


def test_every_picture_of_the_gallery_exists_and_is_shown():
    text = PAGES["docs/gallery.md"].read_text()
    for figures in gallery.FIGURES.values():
        for name in figures:
            assert (gallery.IMAGES / f"{name}.png").exists(), name
            assert f"](images/{name}.png)" in text
    assert gallery.shown(ROOT / "docs" / "results") == ""  # a folder without pictures


def test_a_sampler_without_a_record_is_an_error():
    found = numbers.records()["samplers"]
    without = {key: value for key, value in found.items() if "lens/mmps" not in key}
    with pytest.raises(KeyError, match="lens/mmps"):
        report.table(ROOT, without)


def test_a_table_of_numbers_has_a_mark_in_every_cell():
    made = tables.table(["a", "b"], "name", {"value": "[[r:{row}/x:.1f]] +- [[r:{row}/y:.1f]]"})
    assert numbers.filled(made, {"r": {"a/x": 1, "a/y": 2, "b/x": 3, "b/y": 4}}).splitlines()[2:] == [
        "| `a` | <!-- r:a/x:.1f -->1.0<!-- --> +- <!-- r:a/y:.1f -->2.0<!-- --> |",
        "| `b` | <!-- r:b/x:.1f -->3.0<!-- --> +- <!-- r:b/y:.1f -->4.0<!-- --> |",
    ]


# ---------------------------------------------------------------------------- the rule graph


def test_no_rule_is_left_out_of_the_graph():
    """Rules with a name of their own; those of the figures are one node."""
    rules = {
        name
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)
    }
    assert len(rules) > 20 and rule_graph.node("plot_prior") == "figures" and rule_graph.node("all") is None
    chart = re.search(r"```mermaid\nflowchart LR\n(.*?)```", PAGES["README.md"].read_text(), re.DOTALL)[1]
    assert {rule_graph.node(rule) for rule in rules} | {"figures"} == set(re.findall(r"\w+", chart))


def test_edges_that_follow_from_others_are_left_out():
    nodes = "\n".join(f"\tid{i}[{name}]" for i, name in enumerate(("all", "a", "plot_x", "b")))
    text = "flowchart TB\n" + nodes + "\n\tid1 --> id3\n\tid3 --> id2\n\tid1 --> id2\n\tid2 --> id0"
    found = rule_graph.edges(text)
    assert found == {("a", "b"), ("b", "figures"), ("a", "figures")}
    assert set(nx.transitive_reduction(nx.DiGraph(found)).edges) == {("a", "b"), ("b", "figures")}


# ---------------------------------------------------------------------------- messages


def test_messages_are_read_with_their_placeholders():
    node = ast.parse(
        'f"{path}: {name!r} claims {file[name].nbytes:.1e} bytes; {remedy(url)}"', mode="eval"
    ).body
    assert messages.template(node) == "<path>: <name> claims <nbytes> bytes; <remedy>"


@pytest.mark.parametrize(
    ("module", "heading"),
    [
        ("sky/wcs.py", "Sky coordinates and frames"),
        ("io/download.py", "Downloads"),
        ("problems/radio/uvfits.py", "Visibilities"),
        ("problems/lens/files.py", "Lens images"),
    ],
)
def test_messages_are_listed_where_they_belong(module, heading):
    path = ROOT / "src" / "skyscore" / module
    part = messages.listed().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    found = list(messages.raised(path))
    assert found
    for text in found:
        assert messages.code(text) in part, text


def test_every_message_says_what_to_do():
    """After a semicolon; and no placeholder is a single letter, which tells a reader nothing (but n, a number)."""
    for line in messages.listed().splitlines():
        if line.startswith("* "):
            assert ";" in line, line
            assert not re.search(r"<[^n]>", line), line


# ---------------------------------------------------------------------------- reliability


def test_the_record_holds_the_faults_of_the_tests_all_survived():
    record = json.loads(reliability.RECORD.read_text())
    assert list(record["faults"]) == list(faults.FAULTS.values()), "run: make reliability"
    assert (record["steps"], record["checkpoint_every"]) == (faults.STEPS, faults.EVERY)
    for name, row in record["faults"].items():
        assert row["tried"] == row["survived"] > 0, name


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("name", PAGES)
def test_numbers_are_those_of_their_records(name):
    text = PAGES[name].read_text()
    assert numbers.filled(text, numbers.records()) == text, "run: make docs"


@pytest.mark.parametrize("name", PAGES)
def test_no_line_of_text_begins_with_a_number(name):
    """Markdown takes a line that begins with a comment for HTML, and ends the paragraph there."""
    for line in PAGES[name].read_text().splitlines():
        assert not re.match(r"\s*([-*+]|\d+\.)?\s*<!-- \w+:\S+:", line), line


def test_a_number_without_a_record_is_an_error():
    with pytest.raises(KeyError, match="demo:a/b is quoted"):
        numbers.filled("<!-- demo:a/b:.2f -->1<!-- -->", {"demo": {}})


def test_nested_records_are_flat():
    assert numbers.flat({"a": {"b": 1.5}, "provenance": {"x": 1}, "t": "text"}) == {"a/b": 1.5}
    assert (
        numbers.filled("<!-- r:a/b:.1f -->?<!-- -->", {"r": {"a/b": 1.5}}) == "<!-- r:a/b:.1f -->1.5<!-- -->"
    )


def test_a_yes_or_no_is_a_word():
    text = "<!-- r:a:yes -->?<!-- --> <!-- r:b:yes -->?<!-- -->"
    assert (
        numbers.filled(text, {"r": {"a": 1, "b": 0}})
        == "<!-- r:a:yes -->yes<!-- --> <!-- r:b:yes -->no<!-- -->"
    )
    readme = PAGES["README.md"].read_text()
    assert len(re.findall(r"/certified:yes -->(yes|no)<", readme)) == 4 and "/certified:d" not in readme


def test_the_effort_of_a_run_is_that_of_its_own_jobs(tmp_path):
    assert numbers.effort(tmp_path, "demo") == {}  # the results were copied from elsewhere
    records, benchmarks = tmp_path / ".snakemake" / "metadata", tmp_path / "results" / "demo" / "benchmarks"
    for folder in (records, benchmarks / "sample"):
        folder.mkdir(parents=True)
    for job, (name, start, end) in enumerate([("demo", 30, 90), ("demo", 60, 150), ("real", 0, 900)]):
        content = {"log": [f"results/{name}/logs/sample/{job}.log"], "starttime": start, "endtime": end}
        (records / str(job)).write_text(json.dumps(content))
    for job, row in (("lens", "7.5\t300.0"), ("radio", "2.5\t-"), ("kappa", "1.5\t400.0")):
        (benchmarks / "sample" / f"{job}.tsv").write_text(f"s\tmax_rss\n{row}\n")
    assert numbers.effort(tmp_path, "demo") == {
        "run/minutes": 2.0,
        "run/sample/s": 7.5,
        "run/sample/mb": 400.0,
    }


def test_hours_of_the_shipped_weights_are_in_their_files():
    found = numbers.trainings()
    assert 0 < found["galaxies32/hours"] < 10 and found["galaxies32/steps"] > 0
