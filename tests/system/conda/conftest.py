"""The stand-in for conda (see linked.py) as the `conda` of a test."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from tests.helpers.workflow import ROOT

HERE = Path(__file__).resolve().parent
ASKED = {
    match for path in ROOT.glob("envs/*.yaml") for match in re.findall(r"python =([\d.]+)", path.read_text())
}
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def conda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake finds the stand-in as `conda` and starts it with this Python."""
    if {PYTHON} != ASKED:
        pytest.skip(f"the environments ask for Python {', '.join(sorted(ASKED))}, and this is {PYTHON}")
    folders = [str(HERE / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    monkeypatch.delenv("CONDA_PREFIX", raising=False)
