"""CONTRIBUTING.md against the tree: its paths and targets exist, its ten tasks begin in the folders that it names."""

from __future__ import annotations

import re
from fnmatch import fnmatch

import pytest

from tests.helpers.workflow import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
# task: what a stranger looks for, which is in the first file that the table names
SOUGHT = {
    "add a sampler": r"class \w+\(Guidance\):",
    "change the PSF handling of hst": r"def match_width\(",
    "find where chi2 of a lens is computed": r'"chi2_dof": self\.noise\.whiten',
    "change a colour of a figure": r"^COLOURS = \(",
    "add a key of the configuration": r"description:",
    "read a new file format": r"^def read_map\(",
    "change the memory of a rule": r"mem_mb=",
    "find what a certificate asks": r"^def certify\(",
    "fix a message": r"src/skyscore|<",
    "add a page": r"",
}


def tasks() -> dict[str, tuple[str, str]]:
    """The table of tasks, `{task: (first folder, file)}`."""
    table = TEXT.partition("| task | first folder | file |\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[1:]]
    return {task: (folder, file) for task, folder, file in rows}


def test_there_are_ten_tasks():
    assert set(tasks()) == set(SOUGHT) and len(SOUGHT) == 10


@pytest.mark.parametrize("task", SOUGHT)
def test_the_first_folder_is_the_right_one(task):
    folder, file = tasks()[task]
    folder = folder.strip("`")
    assert (ROOT / folder).is_dir()
    paths = re.findall(r"`([\w./-]+/[\w./-]*)`", file)
    assert paths
    first = ROOT / paths[0]
    assert first.exists(), first
    if task != "fix a message":  # a message stands where it is raised; a page lists all of them
        assert first.is_relative_to(ROOT / folder)
    if first.is_file():
        assert re.search(SOUGHT[task], first.read_text(), re.MULTILINE)


def test_every_path_exists():
    """Paths in backticks, from the root; <name> stands for any name."""
    found = [path for path in re.findall(r"`([\w.<>/*-]+)`", TEXT) if "/" in path]
    assert len(found) > 40
    for path in found:
        pattern = re.sub(r"<[\w ]+>", "*", path).rstrip("/")
        if pattern.startswith("results/"):  # of runs
            continue
        assert any(ROOT.glob(pattern)), path


def test_every_target_exists():
    named = set(re.findall(r"make ([a-z]+(?:-[a-z]+)*)", " ".join(re.findall(r"`([^`]+)`", TEXT))))
    defined = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert named <= defined and len(named) > 6


def test_the_map_names_every_folder_of_the_library():
    folders = {
        path.name for path in (ROOT / "src" / "skyscore").iterdir() if path.is_dir() and path.name[0] != "_"
    }
    named = set(re.findall(r"`src/skyscore/(\w+)/`", TEXT))
    assert folders <= named
    assert not [name for name in named if not any(fnmatch(folder, name) for folder in folders)]
