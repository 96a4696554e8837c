"""References of one file, and its hash, which changes with what the file does and with nothing else."""

from __future__ import annotations

import pytest

from plan.syntax import Source

TEXT = '''"""What it is for."""

from .base import Sampler
from ..io import read
import numpy as np
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 3


@registered
class Mine(Sampler):
    """Docstring."""

    strength: float = 1.0

    def step(self, x):
        from skyscore.priors import load_prior

        return load_prior(read.fits(x))
'''


def source(folder, text: str, name: str = "skyscore.samplers.mine") -> Source:
    path = folder / "mine.py"
    path.write_text(text)
    return Source(path, name)


def test_parts_of_a_file(tmp_path):
    found = source(tmp_path, TEXT)
    assert found.head.imports == [
        ("skyscore.samplers.base", "Sampler", "Sampler"),
        ("skyscore.io", "read", "read"),
        ("numpy", None, "np"),
        ("typing", "TYPE_CHECKING", "TYPE_CHECKING"),
    ]  # torch is left out: only a type checker reads that line
    assert list(found.definitions) == ["Mine"]
    mine = found.definitions["Mine"]
    assert mine.imports == [("skyscore.priors", "load_prior", "load_prior")]
    assert {"Sampler", "registered", "load_prior"} <= mine.names
    assert mine.members == {("read", "fits")} and "read" not in mine.names


def test_relative_imports_of_a_package(tmp_path):
    path = tmp_path / "__init__.py"
    path.write_text("from .base import a\nfrom . import b\nfrom .. import io\n")
    found = Source(path, "skyscore.samplers").head.imports
    assert [module for module, *_ in found] == ["skyscore.samplers.base", "skyscore.samplers", "skyscore"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""What it is for."""', '"""Something else."""'),
        ('    """Docstring."""\n\n', ""),
        ("STEPS = 3", "STEPS = 3  # levels"),
        ("STEPS = 3", "STEPS = (\n    3\n)"),
        ("STEPS = 3", 'STEPS = 3\n"""Number of levels."""'),
        ("return load_prior(read.fits(x))", "return load_prior(\n            read.fits(x),\n        )"),
    ],
)
def test_text_that_does_nothing_changes_no_hash(tmp_path, old, new):
    assert TEXT.count(old) == 1
    assert source(tmp_path, TEXT).hash == source(tmp_path, TEXT.replace(old, new)).hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("STEPS = 3", "STEPS = 4"),
        ("STEPS = 3", "STEPS = 3.0"),
        ("STEPS = 3", "LEVELS = 3"),
        ("strength: float = 1.0", "strength: float = 2.0"),
        ("class Mine(Sampler)", "class Mine(object)"),
        ("@registered\n", ""),
        ("read.fits(x)", "read.maps(x)"),
        ("return load_prior", "load_prior"),
        ("def step(self, x)", "def step(self, x, *more)"),
        ("import numpy as np", "import numpy"),
        ("from .base", "from ..base"),
    ],
)
def test_text_that_does_something_changes_the_hash(tmp_path, old, new):
    assert TEXT.count(old) == 1
    assert source(tmp_path, TEXT).hash != source(tmp_path, TEXT.replace(old, new)).hash
