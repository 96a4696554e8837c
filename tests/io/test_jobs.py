"""Jobs: their logs, their device, their random numbers, and what they say of where a result is from."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from skyscore import io, seeds
from skyscore.compute.devices import pick_device
from skyscore.provenance import fingerprint, provenance

SRC = str(Path(io.__file__).resolve().parents[2])


def test_logged_catches_output_and_passes_the_result(tmp_path, capsys):
    with io.logged(tmp_path / "log" / "a.log"):
        print("progress")
    assert (tmp_path / "log" / "a.log").read_text() == "progress\n"
    assert capsys.readouterr() == ("", "")


def test_logged_turns_bad_input_into_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as end, io.logged(tmp_path / "a.log"):
        raise io.InputError("file.fits: is cut short; download it again")
    assert end.value.code == 1
    expected = "skyscore: error: file.fits: is cut short; download it again\n"
    assert capsys.readouterr().err == expected
    assert (tmp_path / "a.log").read_text() == expected


def test_a_full_disk_ends_no_job_through_its_log(capsys):
    with io.logged("/dev/full"):
        print("progress" * 10_000)
    with pytest.raises(SystemExit), io.logged("/dev/full"):
        raise io.InputError("a.h5: cannot be written; make room")
    assert capsys.readouterr().err == "skyscore: error: a.h5: cannot be written; make room\n"


def test_without_a_gpu_one_line_says_so():
    """CUDA_VISIBLE_DEVICES decides: with none to be seen a job computes on the processor, wherever it runs."""
    code = (
        "from skyscore import seeds; from skyscore.compute.devices import pick_device; "
        "print([pick_device(), pick_device(), seeds.generator(1, 'auto').device.type])"
    )
    environment = {**os.environ, "PYTHONPATH": SRC, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.stdout == "['cpu', 'cpu', 'cpu']\n"
    assert re.fullmatch(
        r"skyscore: warning: no GPU \(.+CUDA_VISIBLE_DEVICES=-1\); computing on the CPU\n", done.stderr
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_gpu_is_named_with_its_memory():
    assert pick_device() == "cuda"
    source = provenance()
    assert source["gpu"] == torch.cuda.get_device_name() and source["gpu_memory_gib"] > 1


def test_logged_keeps_the_traceback_of_a_defect(tmp_path, capsys):
    with pytest.raises(SystemExit), io.logged(tmp_path / "a.log"):
        raise ZeroDivisionError("by nothing")
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ZeroDivisionError: by nothing" in error
    assert "Traceback" in (tmp_path / "a.log").read_text()


def test_provenance(root):
    io.logged(None)
    source = provenance({"steps": 3}, seed=5, config={"seed": 1, "mirror": "here"}, inputs=["a"])
    assert source["seed"] == 5
    assert source["settings"] == {"steps": 3}
    assert source["inputs"] == ["a"]
    assert source["versions"]["numpy"] == np.__version__
    assert source["config_hash"] == fingerprint({"seed": 1})  # where the bytes come from decides nothing
    known = source["git_revision"] != "unknown"
    assert known == (root / ".git").exists()
    json.dumps(source)


def test_fingerprint_ignores_order_only():
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_generators_are_reproducible():
    draw = [torch.randn(3, generator=seeds.generator(11)) for _ in range(2)]
    assert torch.equal(*draw)
    assert not torch.equal(draw[0], torch.randn(3, generator=seeds.generator(12)))
