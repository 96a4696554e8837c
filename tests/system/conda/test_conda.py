"""A rule runs with the packages of its own environment only: `--use-conda` with a stand-in for conda (see linked.py).

Not tested: that the pins exist on conda-forge and resolve together, which needs a network and conda. `make test-conda`
runs the whole `test` configuration in this way (run_on_conda.py).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.helpers.environments import normal, pins
from tests.helpers.workflow import OVERLAYS, ROOT, jobs


@pytest.fixture
def served(tmp_path, workflow, monkeypatch):
    """A file on a server of this machine, the only row of the copy's table of data sets; returns its path in data/."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file").write_bytes(content := b"content")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "served"))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"
    table = workflow / "config" / "datasets.tsv"
    header = table.read_text().splitlines()[0]
    row = [
        "sdssj1430",
        "image",
        f"http://{host}/file",
        hashlib.sha256(content).hexdigest(),
        str(len(content)),
    ]
    table.write_text(header + "\n" + "\t".join([*row, "none", "none", "none", "auto"]) + "\n")
    yield f"data/{host}/file"
    server.shutdown()
    server.server_close()


def test_rules_run_each_in_its_environment(snakemake, workflow, conda, served):
    """Jobs of all four environments, from a download and a training set to a figure."""
    targets = [
        served,
        "results/test/figures/prior_galaxies16.png",
        "results/test/lens/observation.h5",
    ]
    done = snakemake(*targets, "--use-conda", "--cores", "2", *OVERLAYS["test"], cwd=workflow)
    assert done.returncode == 0, done.stdout[-8000:]
    assert all((workflow / target).stat().st_size for target in targets)
    made = {path.read_text() for path in (workflow / ".snakemake" / "conda").glob("*.yaml")}
    assert made == {path.read_text() for path in (ROOT / "envs").glob("*.yaml")}
    assert done.stdout.count("Activating conda environment") >= sum(jobs(done.stdout).values()) / 2
    versions = json.loads((workflow / "results/test/priors/galaxies16/pqmass.json").read_text())[
        "provenance"
    ]["versions"]
    assert "torch" not in versions  # the rule's environment holds none, the one that Snakemake runs in does


def test_a_package_that_an_environment_lacks_is_not_lent_by_snakemake(snakemake, workflow, conda, served):
    path = workflow / "envs" / "download.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if "requests" not in line) + "\n")
    done = snakemake(served, "--use-conda", "--cores", "1", cwd=workflow)
    assert done.returncode != 0
    assert "No module named 'requests'" in done.stdout
    assert not (workflow / served).exists()


def create(path: Path, prefix: Path) -> subprocess.CompletedProcess:
    """Creates an environment by the command that Snakemake uses."""
    command = [
        "conda",
        "env",
        "create",
        "--quiet",
        "--no-default-packages",
        "--file",
        path,
        "--prefix",
        prefix,
    ]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        ("numpy ==2.4.6", "numpy ==1.0", "numpy 1.0 is asked for, 2.4.6 is installed"),
        ("numpy ==2.4.6", "numpy ==2.4.6\n  - absent ==1.0", "absent is not installed"),
        ("python =3.11", "python =3.9", "does not ask for python ="),
        ("numpy ==2.4.6", "numpy", "numpy is not pinned to one version"),
    ],
)
def test_an_environment_that_cannot_be_made_is_refused(conda, tmp_path, old, new, answer):
    text = (ROOT / "envs" / "validate.yaml").read_text()
    assert old in text
    (tmp_path / "wrong.yaml").write_text(text.replace(old, new))
    done = create(tmp_path / "wrong.yaml", tmp_path / "environment")
    assert done.returncode != 0
    assert answer in done.stderr
    assert not (tmp_path / "environment").exists()


def test_an_environment_holds_the_packages_of_its_file_and_their_requirements(conda, tmp_path):
    done = create(ROOT / "envs" / "validate.yaml", tmp_path / "environment")
    assert done.returncode == 0, done.stderr
    code = """
import json, sys
sys.path.extend(json.loads(sys.argv[1]))  # as Snakemake's preamble does
import numpy, scipy.linalg
from snakemake.iocontainers import Snakemake
from importlib import metadata, util
try:
    import pandas
except ModuleNotFoundError as error:
    held = sorted(found.name for found in metadata.distributions())
    print(json.dumps([numpy.__file__, str(error), util.find_spec("pandas") is None, held]))
"""
    python = tmp_path / "environment" / "bin" / "python"
    done = subprocess.run([python, "-c", code, json.dumps(sys.path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    place, refusal, absent, held = json.loads(done.stdout)
    assert Path(place).is_relative_to(tmp_path)
    assert refusal == "No module named 'pandas'"
    assert absent
    assert {normal(name) for name in held} == set(
        pins(ROOT / "envs" / "validate.yaml")
    )  # they require no others
