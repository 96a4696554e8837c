"""The library as a package: requirements, bounds and the lock; a wheel that works outside of the repository; hooks."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import skyscore
from tests.helpers.environments import IMPORTS, ROOT, locked, normal
from tests.helpers.workflow import LIMIT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LIBRARY = sorted((ROOT / "src" / "skyscore").rglob("*.py"))


def names(requirements: list[str]) -> set[str]:
    return {normal(Requirement(one).name) for one in requirements}


def imported(path: Path) -> set[str]:
    """Packages that a file imports, anywhere in it, by their names for pip."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).split(".")[0])
    return {normal(IMPORTS.get(name, name)) for name in found - sys.stdlib_module_names - {"skyscore"}}


def test_the_dependencies_are_what_the_library_imports():
    assert names(PROJECT["dependencies"]) == set().union(*map(imported, LIBRARY))


@pytest.mark.parametrize("group", ["dependencies", *EXTRAS])
def test_the_lock_satisfies_every_bound(group):
    lock = locked() | locked("requirements.docs.lock")
    for one in map(Requirement, PROJECT["dependencies"] if group == "dependencies" else EXTRAS[group]):
        assert one.specifier, f"{one.name} has no bound"
        version = lock.get(normal(one.name))
        assert version, f"no lock has {one.name}"
        assert one.specifier.contains(version), (
            f"the lock has {one.name} {version}, pyproject.toml asks for {one}"
        )


def test_the_locks_are_complete_and_hold_nothing_else():
    """A pin is asked for in pyproject.toml or required by another pin, and everything that is required is pinned."""
    lock, found, unpinned = locked() | locked("requirements.docs.lock"), set(), set()
    wanted = set().union(*map(names, [PROJECT["dependencies"], *EXTRAS.values()]))
    while wanted:
        name = wanted.pop()
        if name not in lock:
            unpinned.add(name)
        elif name not in found:
            found.add(name)
            wanted |= {
                normal(one.name) for one in map(Requirement, metadata.requires(name) or ()) if applies(one)
            }
    undeclared = {"deprecation"}  # a requirement of tarp 0.1.1 that its metadata do not name
    assert set(lock) - found <= undeclared
    builds = set(
        map(normal, re.findall(r"^[\w-]+", "\n".join(metadata.requires("torch") or ()), re.MULTILINE))
    )
    assert unpinned <= builds  # of torch, which has other requirements with CUDA


def applies(requirement: Requirement) -> bool:
    """Whether a requirement holds on this machine; those of extras do not."""
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_module_finds_files_outside_of_the_package(path):
    depth = len(
        path.relative_to(ROOT / "src" / "skyscore").parts
    )  # parents[depth] is the folder of the package
    for steps in re.findall(r"parents\[(\d+)\]", path.read_text()):
        assert int(steps) < depth, f"{path}: parents[{steps}] lies outside of the package"


# ---------------------------------------------------------------------------- the wheel

SAMPLES = """
import json, sys
from pathlib import Path

import torch
import yaml

import skyscore
from skyscore.config.settings import check_config
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior, load_prior
from skyscore.provenance import provenance
from skyscore.samplers import sample

config, weights = map(Path, sys.argv[1:])
complete = check_config(yaml.safe_load(config.read_text()))

prior = GaussianPrior(torch.tensor([1.0, -1.0]), torch.tensor([[2.0, 0.5], [0.5, 1.0]]))
likelihood = GaussianLikelihood(MatrixOperator(torch.tensor([[1.0, 1.0]])), torch.tensor([0.5]), 0.3)
exact = prior.posterior(likelihood)
errors = {
    name: float((sample(name, prior, likelihood, 2000, steps=60).x.mean(0) - exact.mean).abs().max())
    for name in ("mmps", "tds")
}
learned = load_prior(weights)
noisy = torch.randn(2, *learned.shape, generator=torch.Generator().manual_seed(0))
print(json.dumps({
    "file": skyscore.__file__,
    "defaults": complete["problems"]["lens"]["n_samples"] is not None,
    "kinds": sorted({problem["kind"] for problem in complete["problems"].values()}),
    "errors": errors,
    "width": float(exact.covariance.diagonal().max() ** 0.5),
    "denoised": float((learned.denoise(20.0 * noisy, 20.0) - 20.0 * noisy).std()),
    "revision": provenance()["git_revision"],
}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel, built from a copy so that nothing is written into the repository."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (folder / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Python of an empty environment with the wheel, which borrows all other packages from the one that runs this."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=LIMIT)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    done = subprocess.run([*pip, wheel], capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    # a path file is read in the environment's own folder alone: the link to this checkout's library is not followed
    place = sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)})
    Path(place, "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def run(python: Path, folder: Path, code: str, *arguments: Path) -> str:
    """What code prints in that environment, started from a folder outside of the repository."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [python, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_holds_the_library_and_its_data_only(wheel):
    with zipfile.ZipFile(wheel) as archive:
        held = {Path(name) for name in archive.namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    wanted = {path.relative_to(source) for path in LIBRARY}
    wanted |= {path.relative_to(source) for path in (source / "skyscore").rglob("*.yaml")}
    assert held == wanted | {Path("skyscore/py.typed")}
    assert Path("skyscore/config/schemas/config.schema.yaml") in held


@pytest.mark.slow
def test_the_wheel_works_outside_of_the_repository(installed, tmp_path):
    found = json.loads(
        run(
            installed,
            tmp_path,
            SAMPLES,
            ROOT / "config" / "config.yaml",
            ROOT / "weights" / "galaxies32.safetensors",
        )
    )
    assert Path(found["file"]).is_relative_to(installed.parents[1])
    assert found["defaults"] and found["kinds"] == ["hst", "kappa", "lens", "radio"]
    # means of 2,000 samples; in terms of the posterior's width their error is 0.022, for particles a little more
    assert all(error < 0.25 * found["width"] for error in found["errors"].values()), found
    assert 15 < found["denoised"] < 25  # at sigma = 20 nearly all of the image is noise
    assert found["revision"] == "unknown"


@pytest.mark.slow
def test_what_the_wheel_requires_is_there(installed, tmp_path):
    """Its metadata name the requirements of pyproject.toml, and the environment satisfies them."""
    code = "from importlib import metadata; print('\\n'.join(metadata.requires('skyscore')))"
    requires = [Requirement(line) for line in run(installed, tmp_path, code).splitlines()]
    needed = {str(one) for one in requires if one.marker is None}
    assert needed == {str(Requirement(one)) for one in PROJECT["dependencies"]}
    assert {extra for one in requires for extra in re.findall(r'extra == "(\w+)"', str(one.marker))} == set(
        EXTRAS
    )


# ---------------------------------------------------------------------------- pre-commit


def hooks() -> list[dict]:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    return repository["hooks"]


def test_the_hooks_are_the_tools_of_the_lock():
    """They are run from .venv, which holds the pinned versions; a hook with a version of its own could differ."""
    lock = locked()
    for hook in hooks():
        assert hook["language"] == "system" and "additional_dependencies" not in hook
        tool = Path(hook["entry"].split()[0])
        assert tool.parent == Path(".venv/bin")
        if (ROOT / tool).exists():
            said = subprocess.run(
                [ROOT / tool, "--version"], capture_output=True, text=True, check=True
            ).stdout
            assert lock[tool.name] in said


@pytest.mark.slow
def test_a_commit_is_formatted_first(tmp_path):
    """pre-commit in a repository of one badly formatted file of each kind, without a network."""
    for name in (".pre-commit-config.yaml", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    (tmp_path / ".gitignore").write_text("/.venv\n")
    (tmp_path / "a.py").write_text("import os\nx = [ 1,2 ]\n")
    (tmp_path / "Snakefile").write_text("rule a:\n  output: 'x'\n")
    environment = {**os.environ, "PRE_COMMIT_HOME": str(tmp_path / "home"), "HOME": str(tmp_path)}

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, env=environment, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", ".")
    command = [sys.executable, "-m", "pre_commit", "run"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT
    )
    assert done.returncode != 0 and done.stdout.count("Failed") == len(hooks()), done.stdout
    assert (tmp_path / "a.py").read_text() == "x = [1, 2]\n"
    assert (tmp_path / "Snakefile").read_text() == 'rule a:\n    output:\n        "x",\n'


def test_continuous_integration_runs_the_script_of_this_repository():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "tests.yml").read_text())
    job = workflow["jobs"]["tests"]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    oldest = job["strategy"]["matrix"]["python"][0]
    assert PROJECT["requires-python"] == f">={oldest}"
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_one_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == skyscore.__version__ == citation["version"]
    assert f"## {PROJECT['version']}\n" in (ROOT / "CHANGELOG.md").read_text()
