"""What the catalogue reads without torch is what the registries import: samplers, problems and simulators.

New ones are added to a copy of the library, which is then checked and run in a process of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from skyscore.config.catalogue import dataset_kinds, problem_kinds, sampler_options
from skyscore.problems import PROBLEMS
from skyscore.samplers import SAMPLERS, options_of
from skyscore.simulate import SIMULATORS
from tests.helpers.workflow import ROOT

SAMPLER = '''
from skyscore.samplers.guidance.base import Guidance as Base


class Mine(Base):
    """The sampler.

    Arguments:
        strength: factor on the step towards the data.
    """

    name = "mine"
    needs_vjp = True

    def __init__(self, *, strength: float = 1.0, **options):
        super().__init__(**options)
        self.strength = strength

    def posterior_denoise(self, x_t, sigma_t):
        D, vjp = self.prior.denoise_vjp(x_t, sigma_t)
        return D + self.strength * sigma_t**2 * vjp(self.likelihood_score(D, sigma_t**2 / (1 + sigma_t**2)))


class NotASampler:
    name = "nothing"


class Inherits(Mine):
    """A variant that sets no name of its own."""
'''
LOOSE = 'from .base import Sampler\n\n\nclass Loose(Sampler):\n    name = "loose"\n'
PROBLEM = """
from skyscore.problems.base import Problem


class Deep(Problem):
    kind = "deep"
"""
SETTINGS = """
properties:
  depth:
    type: number
    default: 1.5
    description: Depth of the image.
files:
  image: FITS image.
"""
SIMULATOR = """
import numpy as np

from .base import Simulator


class Dots(Simulator):
    kind = "dots"

    @staticmethod
    def simulate(n, pixels, settings, seed, progress=False):
        s = Dots.completed(settings)
        return np.full((n, 1, pixels, pixels), s["brightness"], np.float32)
"""
DOTS = """
properties:
  brightness:
    type: number
    default: 0.5
    description: Brightness of a dot.
"""


def test_samplers_and_their_options_are_those_of_the_code():
    found = sampler_options()
    assert set(found) == set(SAMPLERS)
    for name, sampler in SAMPLERS.items():
        assert set(found[name]) == options_of(sampler) | {"steps"}
        assert all(about["description"] for about in found[name].values()), name


def test_defaults_of_options_are_allowed_by_their_types():
    names = {"integer": int, "number": (int, float), "boolean": bool, "string": str, "null": type(None)}
    for sampler, options in sampler_options().items():
        for name, about in options.items():
            if "type" in about:
                assert isinstance(about["default"], tuple(names[t] for t in about["type"])), (sampler, name)


def test_kinds_of_problems_and_data_sets_are_those_of_the_code():
    assert set(problem_kinds()) == set(PROBLEMS)
    assert set(dataset_kinds()) == set(SIMULATORS)
    for kind, problem in PROBLEMS.items():
        assert problem.kind == kind
        assert problem.completed({}).keys() >= problem_kinds()[kind]["properties"].keys()


# ---------------------------------------------------------------------------- a copy of the library


@pytest.fixture
def copy(tmp_path) -> Path:
    """The library with a new sampler, a sampler outside the families, a new problem and a new simulator."""
    library = tmp_path / "src" / "skyscore"
    shutil.copytree(ROOT / "src" / "skyscore", library, ignore=shutil.ignore_patterns("__pycache__"))
    (library / "samplers" / "guidance" / "mine.py").write_text(SAMPLER)
    (library / "samplers" / "loose.py").write_text(LOOSE)
    hidden = library / "samplers" / "guidance" / ".ipynb_checkpoints"
    hidden.mkdir()
    (hidden / "mine-checkpoint.py").write_text(SAMPLER)
    (library / "problems" / "deep").mkdir()
    (library / "problems" / "deep" / "problem.py").write_text(PROBLEM)
    (library / "problems" / "deep" / "settings.yaml").write_text(SETTINGS)
    (library / "simulate" / "dots.py").write_text(SIMULATOR)
    (library / "simulate" / "dots.yaml").write_text(DOTS)
    return library


def run(library: Path, code: str) -> dict:
    """What a program prints as JSON, run on the copy of the library."""
    environment = os.environ | {"PYTHONPATH": str(library.parent)}
    done = subprocess.run(
        [sys.executable, "-c", f"import json\n{code}"], env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


CHECK = """
import sys, skyscore
from skyscore.config.settings import SettingsError, check_config

def answer(config):
    try:
        return check_config({"priors": {"p": {"dataset": "d"}}, "datasets": {"d": {"pixels": 16}}, **config})
    except SettingsError as error:
        return str(error)
"""


def test_new_files_are_accepted_by_the_configuration_without_torch(copy):
    found = run(
        copy,
        f"""{CHECK}
print(json.dumps({{
    "file": skyscore.__file__,
    "sampler": answer({{"samplers": {{"m": {{"name": "mine", "strength": 2.0}}}}}}),
    "typed": answer({{"samplers": {{"m": {{"name": "mine", "strength": "high"}}}}}}),
    "loose": answer({{"samplers": {{"m": {{"name": "loose"}}}}}}),
    "nothing": answer({{"samplers": {{"m": {{"name": "nothing"}}}}}}),
    "problem": answer({{"samplers": {{"m": {{"name": "mine"}}}},
                       "problems": {{"x": {{"kind": "deep", "prior": "p", "samplers": ["m"]}}}}}}),
    "data": answer({{"datasets": {{"d": {{"kind": "dots", "pixels": 16}}}}}}),
    "torch": "torch" in sys.modules,
}}))""",
    )
    assert Path(found["file"]).parent == copy
    assert found["sampler"]["samplers"]["m"] == {"name": "mine", "strength": 2.0, "steps": 64}
    assert "samplers.m.strength is 'high', expected number; factor on the step" in found["typed"]
    assert "there is no sampler 'loose'" in found["loose"]
    assert "there is no sampler 'nothing'" in found["nothing"]
    assert found["problem"]["problems"]["x"]["depth"] == 1.5
    assert found["data"]["datasets"]["d"]["dots"] == {"brightness": 0.5}
    assert found["torch"] is False


def test_new_files_run(copy):
    """The new sampler is exact for a white Gaussian prior: variance 1, data of variance 1/4."""
    found = run(
        copy,
        """
import torch
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.problems import PROBLEMS
from skyscore.samplers import SAMPLERS, sample
from skyscore.simulate import SIMULATORS

one = torch.eye(2, dtype=torch.float64)
likelihood = GaussianLikelihood(MatrixOperator(one), torch.tensor([2.5, -5.0], dtype=torch.float64), 0.5)
x = sample("mine", GaussianPrior(torch.zeros(2, dtype=torch.float64), one), likelihood, 4000, steps=60).x
print(json.dumps({
    "samplers": sorted(SAMPLERS),
    "class": SAMPLERS["mine"].__name__,
    "mean": x.mean(0).tolist(),
    "variance": x.var(0).tolist(),
    "problem": PROBLEMS["deep"].completed({}),
    "dots": float(SIMULATORS["dots"].simulate(2, 16, {}, 0).mean()),
}))""",
    )
    assert found["samplers"] == sorted([*SAMPLERS, "mine"])
    assert found["class"] == "Mine"  # and not the variant that inherits its name
    assert found["mean"] == pytest.approx([2.0, -4.0], abs=0.05)
    assert found["variance"] == pytest.approx([0.2, 0.2], rel=0.1)
    assert found["problem"] == {"depth": 1.5}
    assert found["dots"] == 0.5


def test_two_samplers_of_one_name_are_refused_by_both(copy):
    (copy / "samplers" / "chains" / "again.py").write_text(SAMPLER)
    found = run(
        copy,
        f"""{CHECK}
checked = answer({{"samplers": {{"m": {{"name": "mine"}}}}}})
try:
    import skyscore.samplers
    imported = "no error"
except ImportError as error:
    imported = str(error)
print(json.dumps({{"checked": checked, "imported": imported}}))""",
    )
    assert "guidance/mine.py: the sampler 'mine' is also in" in found["checked"]
    assert "chains/again.py" in found["checked"]
    assert "skyscore.samplers.chains.again.Mine and skyscore.samplers.guidance.mine.Mine" in found["imported"]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("properties: [", "settings.yaml: not readable as YAML"),
        ("files: {}", "the block `properties` is missing"),
    ],
)
def test_a_damaged_description_of_a_kind_is_one_clear_line(copy, text, answer):
    (copy / "problems" / "deep" / "settings.yaml").write_text(text)
    found = run(copy, f"{CHECK}\nprint(json.dumps(answer({{}})))")
    assert answer in found and "\n" not in found


def test_a_sampler_that_is_not_python_is_one_clear_line(copy):
    (copy / "samplers" / "guidance" / "mine.py").write_text("class Mine(:\n")
    found = run(copy, f"{CHECK}\nprint(json.dumps(answer({{}})))")
    assert "mine.py: line 1: " in found and "\n" not in found
