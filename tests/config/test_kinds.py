"""The settings of a kind count for the jobs that its code decides: a default changes their version, a text does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from plan.code import Library
from tests.helpers.workflow import ROOT

SCRIPTS = ("prepare/prepare", "observe/observe", "sample/sample", "figures/plot_posterior")
GALAXIES, LENS = Path("simulate") / "galaxies.yaml", Path("problems") / "lens" / "settings.yaml"


@pytest.fixture
def copy(tmp_path) -> Path:
    return shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))


def versions(source: Path) -> dict[str, str]:
    library = Library(source)
    return {script: library.version(script) for script in SCRIPTS}


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        (GALAXIES, "default: [0.36, 0.3]", "default: [0.36, 0.35]", {"prepare/prepare", "observe/observe"}),
        (LENS, "default: 2.4", "default: 2.5", {"observe/observe"}),
        (GALAXIES, "description: Mean number of", "description: The mean number of", set()),
        (LENS, "unit: arcsec/pixel", "unit: arcsec per pixel", set()),
        (LENS, "# Settings of", "# All settings of", set()),
    ],
)
def test_a_changed_default_runs_jobs_again_and_a_changed_text_none(copy, file, old, new, changed):
    before, path = versions(copy), copy / "skyscore" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found = {script for script, version in versions(copy).items() if version != before[script]}
    assert changed <= found
    assert found == set() if not changed else "figures/plot_posterior" not in found
