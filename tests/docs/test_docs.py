"""What the documentation says is what the code says: messages, rules, links, badges, the help of the Makefile."""

from __future__ import annotations

import ast
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import pytest

from docs.make import gallery, messages, numbers, rule_graph
from skyscore.report import tables

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*numbers.texts(ROOT), ROOT / "config" / "README.md"]


# ---------------------------------------------------------------------------- parts that are made


def test_gallery_is_of_the_pictures_that_are_there():
    made = gallery.page(ROOT / "docs" / "images")
    assert numbers.filled(made, numbers.records()) == (ROOT / "docs" / "gallery.md").read_text(), (
        "run: make docs"
    )


def test_every_message_is_listed():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    assert messages.marked(text, messages.listed(), messages.BEGIN, messages.END) == text, "run: make docs"


def test_the_table_of_samplers_is_up_to_date():
    text, found = (ROOT / "docs" / "validation.md").read_text(), numbers.records()["samplers"]
    made = tables.table(ROOT, found)
    assert messages.marked(text, made, tables.BEGIN, tables.END) == text, "run: make docs"
    with pytest.raises(KeyError, match="lens/mmps"):
        tables.table(ROOT, {key: value for key, value in found.items() if "lens/mmps" not in key})


def test_rule_graph_is_that_of_the_workflow(workflow):
    text = (ROOT / "README.md").read_text()
    made = rule_graph.graph(workflow)
    assert messages.marked(text, made, rule_graph.BEGIN, rule_graph.END) == text, "run: make docs"
    rules = {
        name
        for path in (ROOT / "workflow" / "rules").glob("*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)
    }
    drawn = set(re.findall(r"\w+", made)) - {"mermaid", "flowchart", "LR"}
    assert {rule_graph.node(rule) for rule in rules} == drawn  # no rule is left out


def test_edges_that_others_imply_are_left_out():
    nodes = "\n".join(f"\tid{i}[{name}]" for i, name in enumerate(("all", "a", "plot_x", "b")))
    text = "flowchart TB\n" + nodes + "\n\tid1 --> id3\n\tid3 --> id2\n\tid1 --> id2\n\tid2 --> id0"
    found = rule_graph.edges(text)
    assert found == {("a", "b"), ("b", "figures"), ("a", "figures")}
    assert rule_graph.reduced(found) == {("a", "b"), ("b", "figures")}


def test_marks_that_are_not_there_are_an_error():
    with pytest.raises(ValueError, match="no <a>"):
        messages.marked("text", "content", "<a>", "<b>")


def test_messages_are_read_with_their_placeholders():
    node = ast.parse(
        'f"{path}: {name!r} claims {file[name].nbytes:.1e} bytes; {remedy(url)}"', mode="eval"
    ).body
    assert messages.template(node) == "<path>: <name> claims <nbytes> bytes; <remedy>"


# ---------------------------------------------------------------------------- what a user is told to look for


def texts_of_the_code() -> str:
    """All that the project or Snakemake may print, strings that are written in pieces joined."""
    installed = Path(sysconfig.get_path("purelib")) / "snakemake"
    parts = []
    for path in [
        *(ROOT / "src").rglob("*.py"),
        *(installed / f"{name}.py" for name in ("exceptions", "deployment/conda")),
    ]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr | ast.Constant):
                parts.append(messages.template(node))
    parts += [path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")]
    parts += [(installed / "exceptions.py").read_text(), "OutOfMemoryError"]  # the latter is torch's
    return "\n".join(parts)


def test_messages_that_are_explained_are_messages_of_the_code():
    known, explained = texts_of_the_code(), 0
    for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| ---", "| message", "| what")):
            for words in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
                assert words in known, f"nothing prints {words!r}"
                explained += 1
    assert explained > 25


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_badges_say_what_is_required():
    text = (ROOT / "README.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"python-{project['requires-python'].removeprefix('>=')}+-" in text
    oldest = re.search(r'min_version\("([\d.]+)"\)', (ROOT / "Snakefile").read_text())[1]
    assert f"snakemake-{oldest}+-" in text
    assert f"licence-{project['license']}-" in text


def test_help_lists_every_target():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^ +make ([a-z-]+) {2,}\S", said, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert sorted(listed) == sorted(phony)
