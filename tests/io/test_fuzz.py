"""Files that were damaged or made up: each loader reads them or refuses them in one line; it never hangs or crashes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from skyscore import io
from skyscore.problems.radio.observed import read_visibilities
from tests.helpers.workflow import LIMIT

LOADERS = (
    "fits",
    "cut_out",
    "map",
    "visibilities",
    "uvfits",
    "profile",
    "table",
    "weights",
    "dataset",
    "part",
    "observation",
    "json",
    "config",
)
EXAMPLES = 150  # of each loader


@pytest.mark.parametrize("loader", LOADERS)
def test_mutated_files_are_read_or_refused(loader):
    program = Path(__file__).resolve().parents[1] / "helpers" / "fuzz_loader.py"
    command = [sys.executable, str(program), loader, str(EXAMPLES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    assert done.returncode == 0, f"{loader}: exit {done.returncode}\n{done.stderr[-3000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["read"] + found["refused"] >= EXAMPLES and found["refused"] > 0


def test_a_pickle_in_an_archive_of_visibilities_is_not_loaded(tmp_path):
    marker, path = tmp_path / "loaded", tmp_path / "a.npz"

    class Trap:
        def __reduce__(self):
            return (Path.touch, (marker,))

    np.savez(path, u=np.array([Trap()], dtype=object), v=np.zeros(1), V=np.zeros(1), weights=np.ones(1))
    with pytest.raises(io.InputError, match="allow_pickle"):
        read_visibilities(path)
    assert not marker.exists()


def test_a_shape_that_claims_more_than_any_file_of_ours_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:  # a few kB: nothing of it was ever written
        file.create_dataset("train", (10**9, 1, 1000, 1000), chunks=(1, 1, 1000, 1000), dtype="f8")
    with pytest.raises(io.InputError, match=r"'train' claims 8\.0e\+15 bytes"):
        io.read_dataset(tmp_path / "a.h5")


def test_a_text_that_grows_when_it_is_read_is_refused(tmp_path):
    """Aliases of aliases: 3 kB of YAML that name 10^9 items. One line, at once."""
    lines = ["a0: &a0 [1]"] + [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]" for k in range(1, 10)]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join(lines) + "\nseed: *a9\n")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--configfile", str(path)],
        capture_output=True, text=True, timeout=LIMIT, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode != 0
    assert "skyscore: error: " in done.stderr and len(done.stderr) < 5000, done.stderr[-2000:]
