"""A job that meets a machine's limit says which, and what to do; the traceback is in its log."""

from __future__ import annotations

import errno

import pytest
import torch

from skyscore import io

LIMITS = {
    "gpu": (
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."),
        "CUDA_VISIBLE_DEVICES=",
    ),
    "memory": (MemoryError(), "out of memory in sample; lower the `batch` of the sampler"),
    "disk": (
        OSError(errno.ENOSPC, "No space left on device", "x.h5"),
        "no space is left for x.h5; make room",
    ),
    "quota": (OSError(errno.EDQUOT, "Disk quota exceeded"), "no space is left; make room"),
    "other": (RuntimeError("first line\nsecond"), "RuntimeError: first line (traceback"),
}


@pytest.mark.parametrize(("error", "said"), LIMITS.values(), ids=LIMITS)
def test_a_limit_is_one_line_with_its_remedy(tmp_path, capsys, error, said):
    log = tmp_path / "job.log"
    with pytest.raises(SystemExit) as end, io.logged(log, rule="sample"):
        raise error
    assert end.value.code == 1
    line = capsys.readouterr().err
    assert line.startswith("skyscore: error: ") and line.count("\n") == 1
    assert said in line
    assert f"(traceback in {log})" in line
    assert "Traceback" in log.read_text() and log.read_text().endswith(line)


def test_memory_that_torch_cannot_have(tmp_path, capsys):
    """The processor's allocator raises an error of no kind of its own."""
    with pytest.raises(SystemExit), io.logged(tmp_path / "job.log", rule="sample"):
        torch.empty(2**56)
    assert "out of memory in sample" in capsys.readouterr().err
