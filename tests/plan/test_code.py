"""Code versions: a job runs again when a module that its script reaches has changed, and only then."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plan.code import Library
from tests.helpers.plan import rules
from tests.helpers.workflow import ROOT

SCRIPTS = sorted(f"{path.parent.name}/{path.stem}" for path in (ROOT / "src" / "scripts").rglob("*.py"))
FIGURES = {script for script in SCRIPTS if script.startswith("figures/")}
# all that draw from a prior or a posterior
DRAWING = {
    "certify/control", "certify/sample_ensemble", "sample/sample", "train/sample_prior", "validate/exact",
    "validate/slic_parameters",
}  # fmt: skip


@pytest.fixture(scope="module")
def library() -> Library:
    return Library(ROOT / "src")


@pytest.fixture
def copy(tmp_path) -> Path:
    return shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))


def versions(source: Path) -> dict[str, str]:
    library = Library(source)
    return {script: library.version(script) for script in SCRIPTS}


@pytest.fixture(scope="module")
def now() -> dict[str, str]:
    return versions(ROOT / "src")


def changed(source: Path, now: dict[str, str]) -> set[str]:
    """Scripts whose version differs from that of the sources as they are."""
    return {script for script, version in versions(source).items() if version != now[script]}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


# ---------------------------------------------------------------------------- what a change changes


def test_a_copy_has_the_same_versions(copy, now):
    assert changed(copy, now) == set()


def test_a_changed_step_between_noise_levels_runs_all_that_draws(copy, now):
    edit(
        copy / "skyscore" / "diffusion" / "schedule.py",
        "ratio = math.log(sigma_min / sigma_max) / (steps - 1)",
        "ratio = math.log(sigma_min / sigma_max) / steps",
    )
    # a prior can draw by itself, so its training counts the steps as well
    assert changed(copy, now) == DRAWING | {"train/train_prior"}


def test_a_changed_figure_is_drawn_again_and_nothing_else(copy, now):
    path = copy / "skyscore" / "plotting" / "comparison.py"
    path.write_text(path.read_text() + "\n\nMORE = 1\n")
    assert changed(copy, now) == {"figures/plot_comparison"}


def test_a_changed_style_draws_all_figures_again_and_nothing_else(copy, now):
    path = copy / "skyscore" / "plotting" / "style.py"
    path.write_text(path.read_text() + "\n\nMORE = 1\n")
    assert changed(copy, now) == FIGURES


def test_a_changed_test_of_coverage_runs_the_tests_that_use_it(copy, now):
    path = copy / "skyscore" / "validation" / "tarp.py"
    path.write_text(path.read_text() + "\n\nMORE = 1\n")
    found = changed(copy, now)
    assert {"certify/coverage_ensemble", "certify/control"} <= found
    assert not found & ({"sample/sample", "certify/sample_ensemble", "train/train_prior"} | FIGURES)


def test_a_changed_sampler_draws_posteriors_again_and_observes_nothing(copy, now):
    path = copy / "skyscore" / "samplers" / "guidance" / "mmps.py"
    path.write_text(path.read_text() + "\n\nMORE = 1\n")
    found = changed(copy, now)
    assert {"sample/sample", "certify/sample_ensemble", "validate/exact"} <= found
    assert not found & ({"observe/observe", "certify/simulate", "train/train_prior"} | FIGURES)


def test_a_new_sampler_is_found_by_all_that_samples(copy, now):
    (copy / "skyscore" / "samplers" / "guidance" / "mine.py").write_text(
        'from .mmps import MMPS\n\n\nclass Mine(MMPS):\n    name = "mine"\n'
    )
    found = changed(copy, now)
    assert {"sample/sample", "certify/sample_ensemble", "validate/exact"} <= found
    assert not found & ({"observe/observe", "certify/simulate", "train/train_prior"} | FIGURES)


def test_a_new_problem_is_found_by_all_that_loads_one(copy, now):
    (copy / "skyscore" / "problems" / "mine.py").write_text(
        'from .base import Problem\n\n\nclass Mine(Problem):\n    kind = "mine"\n'
    )
    found = changed(copy, now)
    assert {"observe/observe", "sample/sample", "validate/residuals", "certify/simulate"} <= found
    assert not found & ({"validate/exact", "train/train_prior", "certify/certify"} | FIGURES)


def test_comments_docstrings_and_line_breaks_run_nothing(copy, now):
    for path in (copy / "skyscore").rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace('"""', '"""Changed. ', 1) + "\n\n\n# changed\n")
    assert changed(copy, now) == set()


def test_a_module_counts_as_a_whole(copy, now):
    """`certify` writes numbers by `skyscore.io.records` and reads no table: a change there runs it all the same."""
    path = copy / "skyscore" / "io" / "records.py"
    path.write_text(path.read_text() + "\n\ndef nobody_calls_this():\n    return 1\n")
    assert "certify/certify" in changed(copy, now)


def test_a_changed_script_changes_its_own_version(copy, now):
    path = copy / "scripts" / "certify" / "certify.py"
    path.write_text(path.read_text() + "\n\nMORE = 1\n")
    assert changed(copy, now) == {"certify/certify"}


# ---------------------------------------------------------------------------- which imports count


def reached(folder: Path, files: dict[str, str]) -> set[str]:
    """Modules that `scripts/run.py` reaches in a small library of these files."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return Library(folder).reached(folder / "scripts" / "run.py").modules


def test_a_name_that_is_imported_and_not_used_does_not_count(tmp_path):
    files = {
        "skyscore/__init__.py": "from .a import f\nfrom .b import g\n",
        "skyscore/a.py": "def f(): pass\n",
        "skyscore/b.py": "def g(): pass\n",
        "scripts/run.py": "from skyscore import f\nf()\n",
    }
    assert reached(tmp_path, files) == {"skyscore", "skyscore.a"}


def test_late_imports_count_with_the_function_that_makes_them(tmp_path):
    files = {
        "skyscore/a.py": "def f():\n    from .b import g\n    return g()\n\n\n"
        "def h():\n    from .c import k\n    return k()\n",
        "skyscore/b.py": "def g(): pass\n",
        "skyscore/c.py": "def k(): pass\n",
        "scripts/run.py": "from skyscore.a import f\nf()\n",
    }
    assert reached(tmp_path, files) == {"skyscore.a", "skyscore.b"}


def test_functions_of_the_same_module_and_base_classes_are_followed(tmp_path):
    files = {
        "skyscore/a.py": "from .b import B\nfrom .c import g\n\n\ndef help():\n    g()\n\n\n"
        "class A(B):\n    def run(self):\n        help()\n",
        "skyscore/b.py": "class B: pass\n",
        "skyscore/c.py": "def g(): pass\n",
        "scripts/run.py": "from skyscore.a import A\nA().run()\n",
    }
    assert reached(tmp_path, files) == {"skyscore.a", "skyscore.b", "skyscore.c"}


def test_a_table_at_the_head_of_a_module_counts_with_what_stands_in_it(tmp_path):
    files = {
        "skyscore/a.py": "from .b import g\n\nTABLE = {'g': g}\n\n\ndef f(name):\n    return TABLE[name]()\n",
        "skyscore/b.py": "def g(): pass\n",
        "scripts/run.py": "from skyscore.a import f\nf('g')\n",
    }
    assert reached(tmp_path, files) == {"skyscore.a", "skyscore.b"}


@pytest.mark.parametrize(
    "use", ["io.b.g()", "getattr(io, name)", "run(io)", "from skyscore import io as other\nrun(other)"]
)
def test_a_module_that_is_handed_on_counts_with_all_that_is_in_it(tmp_path, use):
    files = {
        "skyscore/io/__init__.py": "from .b import g\n",
        "skyscore/io/b.py": "def g(): pass\n",
        "scripts/run.py": f"from skyscore import io\n\n{use}\n",
    }
    assert "skyscore.io.b" in reached(tmp_path, files)


def test_a_name_that_a_package_imports_late_is_followed(tmp_path):
    files = {
        "skyscore/__init__.py": "KNOWN = 1\n\n\ndef __getattr__(name):\n    from .a import f\n    return f\n",
        "skyscore/a.py": "def f(): pass\n",
        "skyscore/b.py": "def g(): pass\n",
        "scripts/run.py": "from skyscore import f\nf()\n",
        "scripts/other.py": "from skyscore import KNOWN\nfrom skyscore import b\nb.g(KNOWN)\n",
    }
    assert reached(tmp_path, files) == {"skyscore", "skyscore.a"}
    other = Library(tmp_path).reached(tmp_path / "scripts" / "other.py").modules
    assert other == {"skyscore", "skyscore.b"}


def test_circles_end(tmp_path):
    files = {
        "skyscore/a.py": "from . import b\n\n\ndef f():\n    return b.g()\n",
        "skyscore/b.py": "from . import a\n\n\ndef g():\n    return a.f()\n",
        "scripts/run.py": "from skyscore.a import f\nf()\n",
    }
    assert reached(tmp_path, files) == {"skyscore.a", "skyscore.b"}


# ---------------------------------------------------------------------------- the library as it is

# what no job of the workflow runs
NOT_IN_JOBS = {
    "skyscore.survey": "splits a survey into parts for job arrays, by hand (docs/scaling)",
    "skyscore.observing": "skyscore.observe, for a user's own Python",
    "skyscore.config": "read when the workflow is planned, before any job",
}


def test_every_module_is_reached_by_a_script(library):
    """What no script reaches is dead, or listed above with a reason."""
    used = set().union(*(library.reached(ROOT / "src/scripts" / f"{s}.py").modules for s in SCRIPTS))
    for path in sorted((ROOT / "src" / "skyscore").rglob("*.py")):
        if path.name == "__init__.py":
            continue  # hands names on
        name = library.dotted(path)
        listed = any(name == known or name.startswith(f"{known}.") for known in NOT_IN_JOBS)
        assert name in used or listed, f"no script reaches {name}"


IMPORTED = """
import importlib, json, os, sys

sys.path.insert(0, sys.argv[1])
for script in sys.argv[2:]:
    importlib.import_module("scripts." + script.replace("/", "."))
for name in [name for name in sys.modules if name.split(".")[0] in ("skyscore", "scripts")]:
    del sys.modules[name]  # imported anew by each child, which finds all else loaded

found = {}
for script in sys.argv[2:]:
    read, write = os.pipe()
    if os.fork() == 0:
        module = importlib.import_module("scripts." + script.replace("/", "."))
        loaded = sorted(name for name in sys.modules if name.split(".")[0] == "skyscore")
        named = {getattr(item, "__module__", None) for item in vars(module).values() if callable(item)}
        used = sorted(name for name in named if name and name.split(".")[0] == "skyscore")
        os.write(write, json.dumps([loaded, used]).encode())
        os._exit(0)
    os.close(write)
    with open(read) as pipe:
        found[script] = json.loads(pipe.read())
    os.wait()
print(json.dumps(found))
"""


def test_imports_are_those_that_python_makes(library):
    """Each script, imported for real: no module is loaded that the scanner does not see, and names it imports count."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED, str(ROOT / "src"), *SCRIPTS],
        env={**os.environ, "MPLBACKEND": "Agg"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    for script, (loaded, used) in json.loads(done.stdout).items():
        found = library.reached(ROOT / "src" / "scripts" / f"{script}.py")
        assert set(loaded) <= found.imported, script
        assert set(used) <= found.modules, script


# ---------------------------------------------------------------------------- rules


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_rule_hands_on_the_version_of_its_own_script(script, library):
    """A download is decided by its checksum alone; all other jobs run again when their code changes."""
    rule = rules()[script.split("/")[1]]
    assert rule["script"] == f"../../src/scripts/{script}.py"
    if script == "download/download_file":
        assert "code" not in rule["params"]
    else:
        assert rule["params"]["code"] == library.version(script)


def test_every_script_belongs_to_a_rule():
    assert {script.split("/")[1] for script in SCRIPTS} == set(rules())


def test_scanning_all_scripts_is_fast_beside_reading_them(library):
    """The Snakefile does it whenever it is read: at most as long as four times parsing the same files."""
    import ast
    import time

    begun = time.process_time()
    for path in (ROOT / "src").rglob("*.py"):
        ast.parse(path.read_text())
    parsing = time.process_time() - begun
    begun = time.process_time()
    versions(ROOT / "src")
    assert time.process_time() - begun < 4 * parsing
