"""The conda environments: every pin equals the lock, and each rule's environment holds all that its script imports.

Not tested: that the pins exist on conda-forge and resolve together, which needs a network and conda.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from plan.code import Library
from tests.helpers.environments import IMPORTS, ROOT, locked, normal, pins
from tests.helpers.plan import rules

SOURCE = ROOT / "src"
SCRIPTS = sorted((SOURCE / "scripts").rglob("*.py"))
ENVIRONMENTS = sorted((ROOT / "envs").glob("*.yaml"))
LIBRARY = Library(SOURCE)


@cache
def needs(script: Path) -> set[str]:
    """Packages that a script and the modules which it reaches import, by their names for pip."""
    return {normal(IMPORTS.get(name, name)) for name in LIBRARY.reached(script).packages}


def environment_of(script: Path) -> Path:
    """The environment of the rule that runs a script."""
    return ROOT / "envs" / Path(rules()[script.stem]["conda"]).name


def test_the_lock_is_plain():
    lock = locked()
    assert lock["torch"] == "2.13.0"  # no local suffix: the index gives the CUDA build where there is one
    assert all(re.fullmatch(r"[\w.]+", version) for version in lock.values())


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment(path):
    content = yaml.safe_load(path.read_text())
    assert set(content) == {"channels", "dependencies"}
    assert content["channels"] == ["conda-forge", "nodefaults"]
    lock = locked()
    for name, version in pins(path).items():
        assert lock.get(name) == version, f"{path.name}: {name} {version}, but the lock says {lock.get(name)}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_environment_holds_what_the_script_imports(script):
    environment = environment_of(script)
    missing = needs(script) - set(pins(environment))
    assert not missing, f"{environment.name} lacks {sorted(missing)}, which {script.name} imports"


@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_environment_holds_no_package_that_its_scripts_do_not_import(path):
    scripts = [script for script in SCRIPTS if environment_of(script) == path]
    assert scripts, f"no rule uses {path.name}"
    used = set().union(*map(needs, scripts))
    assert set(pins(path)) <= used, f"{path.name}: nothing imports {sorted(set(pins(path)) - used)}"


def test_imports_inside_functions_count_where_the_function_is_used():
    reading = LIBRARY.reached_from("skyscore.io", "read_fits").packages
    assert "astropy" in reading and "torch" not in reading
    assert "torch" in LIBRARY.reached_from("skyscore.seeds", "generator").packages
    assert "torch" not in LIBRARY.reached_from("skyscore.seeds", "job_seed").packages
