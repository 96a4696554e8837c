"""The layout of the repository: short files, folders that fit on a screen, and each test beside what it tests."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.helpers.workflow import LIMIT, ROOT

LONGEST = 350  # lines of a file of code
MOST = 16  # files in a folder: code, pages, configuration, images and records; folders in it do not count
TOP = {
    "__init__.py",
    "checksums.py",
    "observation.py",
    "observing.py",
    "provenance.py",
    "py.typed",
    "seeds.py",
    "survey.py",
    "units.py",
}
# folders of tests beside those that are named as a folder of the library
OTHERS = {"docs", "helpers", "plan", "scripts", "system"}
ENDING = {"run", "call", "check_call", "check_output", "communicate", "wait", "join", "get"}


def files() -> list[Path]:
    """Files that git tracks, or would track after `git add`."""
    command = [
        "git",
        "-c",
        f"safe.directory={ROOT}",
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [Path(name) for name in sorted(set(done.stdout.splitlines())) if (ROOT / name).is_file()]


def test_no_file_of_code_is_long():
    code = [path for path in files() if path.suffix in (".py", ".smk") or path.name == "Snakefile"]
    assert len(code) > 100
    lines = {path: len((ROOT / path).read_text().splitlines()) for path in code}
    assert not {str(path): n for path, n in lines.items() if n > LONGEST}


def test_no_folder_is_crowded():
    counts = Counter(path.parent for path in files())
    assert counts[Path("src/skyscore/io")] > 5
    assert not {str(folder): n for folder, n in counts.items() if n > MOST}


def test_the_top_of_the_library_holds_only_what_belongs_to_no_folder():
    assert {path.name for path in (ROOT / "src" / "skyscore").iterdir() if path.is_file()} == TOP


def test_tests_lie_in_folders_of_the_same_names():
    library = {path.name for path in (ROOT / "src" / "skyscore").iterdir() if path.is_dir()}
    tracked = [path.relative_to("tests") for path in files() if path.parts[0] == "tests"]
    assert {path.parts[0] for path in tracked if len(path.parts) > 1} <= library | OTHERS
    loose = {path.name for path in tracked if len(path.parts) == 1} - {"conftest.py"}
    assert loose <= {f"test_{name}" for name in TOP}


@pytest.mark.parametrize("folder", ["src", "workflow", "config", "profiles", "envs", ".ci"])
def test_no_path_of_one_machine_is_written_down(folder):
    """Absolute paths of a home or a work folder; temporary folders and devices are the same everywhere."""
    for path in files():
        if path.parts[0] == folder and path.suffix != ".tsv":
            text = (ROOT / path).read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.<{])/(home|root|work|Users|opt)/", text), path


def test_what_may_hang_is_given_the_common_limit():
    """No test ends a process after less: one that passes on a quick machine passes on one that is four times slower."""
    short = []
    for path in files():
        if path.parts[0] != "tests" or path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                given = [k.value for k in node.keywords if k.arg == "timeout"]
                given += node.args[:1] if node.func.attr == "wait" else []
                values = [one.value for one in given if isinstance(one, ast.Constant)]
                if node.func.attr in ENDING and any(value < LIMIT for value in values):
                    short.append(f"{path}:{node.lineno}")
    assert not short
