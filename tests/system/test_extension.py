"""A new sampler or problem is one module and one block of the configuration; nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.helpers.workflow import clear_line

SAMPLER = '''
from skyscore.samplers.base import Sampler


class Mine(Sampler):
    """Nothing that samples.

    Arguments:
        strength: of nothing.
    """

    name = "mine"

    def __init__(self, *, strength: float = 1.0, **options):
        super().__init__(**options)
'''


def test_a_new_sampler(snakemake, workflow):
    """The configuration knows its options by reading its text; a job finds it by its name."""
    (workflow / "src" / "skyscore" / "samplers" / "guidance" / "mine.py").write_text(SAMPLER)
    (workflow / "mine.yaml").write_text(
        "samplers: {mine: {name: mine, strength: 2.0}}\nproblems: {lens: {samplers: [mine]}}\n"
    )
    target = "results/demo/lens/mine/posterior.h5"
    done = snakemake("-n", target, "--configfile", "mine.yaml", cwd=workflow)
    assert done.returncode == 0, done.stdout
    found = subprocess.run(
        [sys.executable, "-c", "from skyscore.samplers import create; print(type(create('mine', strength=2.0)))"],
        env={**os.environ, "PYTHONPATH": str(workflow / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout == "<class 'skyscore.samplers.guidance.mine.Mine'>\n", found.stderr
    (workflow / "mine.yaml").write_text(
        "samplers: {mine: {name: mine, strenght: 2.0}}\nproblems: {lens: {samplers: [mine]}}\n"
    )
    done = snakemake("-n", target, "--configfile", "mine.yaml", cwd=workflow)
    assert "did you mean 'strength'?" in clear_line(done)


PROBLEM = '''
from skyscore.problems.base import Problem


class Mine(Problem):
    """Nothing that is observed."""

    kind = "mine"
'''
SETTINGS = """
properties:
  depth:
    type: number
    default: 1.0
    description: Of nothing.
"""


def test_a_new_problem(snakemake, workflow):
    folder = workflow / "src" / "skyscore" / "problems" / "mine"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "problem.py").write_text(PROBLEM)
    (folder / "settings.yaml").write_text(SETTINGS)
    block = "problems: {deep: {kind: mine, prior: galaxies32, samplers: [mmps], DEPTH: 2.0}}\n"
    (workflow / "mine.yaml").write_text(block.replace("DEPTH", "depth"))
    target = "results/demo/deep/mmps/posterior.h5"
    done = snakemake("-n", target, "--configfile", "mine.yaml", cwd=workflow)
    assert done.returncode == 0, done.stdout
    found = subprocess.run(
        [sys.executable, "-c", "from skyscore.problems import PROBLEMS; print(PROBLEMS['mine'])"],
        env={**os.environ, "PYTHONPATH": str(workflow / "src")}, capture_output=True, text=True,
    )  # fmt: skip
    assert found.stdout == "<class 'skyscore.problems.mine.problem.Mine'>\n", found.stderr
    (workflow / "mine.yaml").write_text(block.replace("DEPTH", "dept"))
    done = snakemake("-n", target, "--configfile", "mine.yaml", cwd=workflow)
    assert "did you mean 'depth'?" in clear_line(done)
