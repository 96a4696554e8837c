"""What the documentation says is what there is: links, the index, explained messages, badges, help of the Makefile."""

from __future__ import annotations

import ast
import re
import subprocess
import sysconfig
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from docs.make import messages, pages
from tests.helpers.environments import locked
from tests.helpers.workflow import ROOT

PAGES = {
    path.relative_to(ROOT).as_posix(): path for path in [*pages.pages(ROOT), ROOT / "config" / "README.md"]
}
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


# ---------------------------------------------------------------------------- links


def anchors(path: Path) -> set[str]:
    """What the headings of a page are called in its address."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PAGES[name]
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", FENCE.sub("", page.read_text())):
        if "://" not in target:
            goal = page.parent / target if target else page
            assert goal.exists(), target
            assert not anchor or anchor in anchors(goal), f"{target}#{anchor}"


def test_pages_that_the_code_names_exist():
    """Paths of the documentation in code, configuration, rules and tests."""
    for folder in ("src", "tests", "config", "workflow", "docs/make", "docs/examples"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".yaml", ".smk", ".rst", ".md", ".json", ".sbatch"):
                for name in re.findall(r"\bdocs/[\w/-]+\.(?:md|yaml|json|sbatch)\b", path.read_text()):
                    assert (ROOT / name).exists() or "{" in name, f"{path.relative_to(ROOT)}: {name}"


def test_every_page_is_in_the_index():
    """In a list of contents of index.md, or of a page that is in one."""
    docs, seen, todo = ROOT / "docs", set(), ["index"]
    while todo:
        name = todo.pop()
        seen.add(name)
        path = docs / f"{name}.md"
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE):
            for line in filter(None, map(str.strip, block.splitlines())):
                if not line.startswith(":"):
                    entry = re.sub(r"^.*<(.+)>$", r"\1", line)
                    todo.append((path.parent / entry).resolve().relative_to(docs).as_posix())
    pages_of_site = {path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md")} - {
        "README"
    }
    assert seen == pages_of_site


# ---------------------------------------------------------------------------- what a user is told to look for


def texts_of_the_code() -> str:
    """All that the project or Snakemake may print, strings that are written in pieces joined."""
    installed = Path(sysconfig.get_path("purelib")) / "snakemake"
    parts = []
    for path in [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "workflow" / "plan").rglob("*.py"),
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
    for line in PAGES["docs/how-to/troubleshooting.md"].read_text().splitlines():
        if line.startswith("| ") and not line.startswith(("| ---", "| message", "| what")):
            for words in re.findall(r"`([^`]+)`", line.split(" | ")[0]):
                assert words in known, f"nothing prints {words!r}"
                explained += 1
    assert explained > 25


def test_a_kill_needs_no_unlock_on_the_same_machine():
    """The page about errors and the page about crashes say the same."""
    row = next(
        line for line in PAGES["docs/how-to/troubleshooting.md"].read_text().splitlines() if "locked" in line
    )
    assert "another machine" in row and "removed when the next run starts" in row
    assert "**A killed run needs no `--unlock`.**" in PAGES["docs/explanation/reliability.md"].read_text()


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


def test_what_the_site_needs_is_pinned_once():
    """The packages of the extra `docs` and what they require: none of them is installed for a run of the workflow."""
    first, docs = locked(), locked("requirements.docs.lock")
    assert not set(first) & set(docs)
    assert {"sphinx", "furo", "myst-nb", "cogapp"} <= set(docs)
    assert all(metadata.version(name) == version for name, version in docs.items())
