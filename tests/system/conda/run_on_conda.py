"""The whole `test` configuration, each rule in an environment of its own: `make test-conda`, not part of `make test`.

conda is the stand-in of linked.py. Not tested: that the pins exist on conda-forge and resolve together.
"""

from __future__ import annotations

import json

from tests.helpers.workflow import OVERLAYS, ROOT


def test_every_job_runs_with_the_packages_of_its_environment(snakemake, workflow, conda):
    done = snakemake("--use-conda", "--cores", "2", *OVERLAYS["test"], cwd=workflow)
    assert done.returncode == 0, done.stdout[-8000:]
    numbers = json.loads((workflow / "results" / "test" / "numbers.json").read_text())
    assert numbers["lens/mmps/certified"] in (0, 1)
    made = {path.read_text() for path in (workflow / ".snakemake" / "conda").glob("*.yaml")}
    # the test configuration downloads nothing; test_conda.py runs a job in the environment of downloads
    assert made == {path.read_text() for path in ROOT.glob("envs/*.yaml") if path.stem != "download"}
