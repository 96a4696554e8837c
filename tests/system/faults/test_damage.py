"""Nothing is lost: files damaged, disks full or read-only, the same command again, the same results."""

from __future__ import annotations

import contextlib
import os
import random
import re
import resource
import socket

import pytest

from tests.helpers.faults import (
    FIRST,
    POSTERIOR,
    PRIOR,
    RESIDUALS,
    RESULTS,
    TRIES,
    assert_same,
    attempt,
    copied,
    damage,
    disk,
    finish,
    jobs,
    mount,
    pages,
)

pytestmark = pytest.mark.slow


OUTPUTS = {  # the file, how it is damaged, the jobs that run again: the one that makes it, and those that read it
    "prior": (PRIOR, "half", 3),
    "posterior": (POSTERIOR[0], "zeros", 2),
    "image": (POSTERIOR[1], "half", 2),
    "numbers": (RESIDUALS[0], "bit", 1),
}


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("fault", OUTPUTS)
def test_damaged_outputs_are_named_and_made_again(folders, tmp_path, fault, seed):
    folder = copied(folders["finished"], tmp_path / "run")
    target, manner, again = OUTPUTS[fault]
    path, time_ = folder / target, (folder / target).stat().st_mtime_ns
    damage(path, manner, random.Random(f"{fault} {seed}").uniform(0.1, 0.9))
    if manner == "zeros":  # a power cut: the time of the file says nothing, and the run did not end
        os.utime(path, ns=(time_, time_))
        (folder / ".snakemake" / "skyscore.runs").write_text(f"{socket.gethostname()} {2**22 + 1}\n")
    with attempt(fault) as found:
        code, text = finish(folder)
        assert code == 0, text[-6000:]
        assert re.search(
            rf"skyscore: {re.escape(target)}: damaged \(SHA-256 .+\); kept as {path.name}\.damaged", text
        )
        assert_same(folder, folders)
        found["jobs"] = len(jobs(text))
        assert found["jobs"] == again, text


@pytest.mark.parametrize("seed", range(TRIES))
def test_full_disk(folders, tmp_path, seed):
    share = random.Random(f"full {seed}").uniform(0.1, 0.8)
    folder = copied(folders["prepared"], tmp_path / "run")
    with attempt("full") as found, disk(folder) as mounted:
        used, needed = pages(folder / RESULTS), pages(folders["finished"] / RESULTS)
        if mounted:
            limit = used + share * (needed - used)
            assert mount("-o", f"remount,size={int(limit / 4096) * 4096}", str(folder / RESULTS))
            code, before = finish(folder)
            wrong = "No space left on device"
            assert mount("-o", "remount,size=64m", str(folder / RESULTS))
        else:  # no file may grow beyond a limit: a write then fails in the same way
            limit = int(share * (folders["finished"] / PRIOR).stat().st_size)
            both = (limit, limit)
            code, before = finish(folder, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, both))
            wrong = "File too large"
        assert code != 0, before
        assert wrong in before, before
        code, text = finish(folder)
        assert code == 0, text[-6000:]
        assert_same(folder, folders)
        found["jobs"] = len(jobs(before)) + len(jobs(text)) - 3
        assert 0 <= found["jobs"] <= 1, before + text


@pytest.mark.parametrize("seed", range(TRIES))
def test_read_only_results(folders, tmp_path, seed):
    folder = copied(folders["prepared"], tmp_path / "run")
    with contextlib.ExitStack() as stack:
        mounted = stack.enter_context(disk(folder))
        if not mounted and os.geteuid() == 0:
            pytest.skip("root may write into any folder, and no file system can be mounted here")
        found = stack.enter_context(attempt("read-only"))
        if mounted:
            assert mount("-o", "remount,ro", str(folder / RESULTS))
        else:
            (folder / RESULTS).chmod(0o555)
        code, before = finish(folder, [PRIOR])
        assert code != 0
        assert re.search(
            rf"skyscore: error: .*{RESULTS}: cannot be written \(.+\); make it writable", before
        ), before
        if mounted:
            assert mount("-o", "remount,rw", str(folder / RESULTS))
        else:
            (folder / RESULTS).chmod(0o755)
        code, text = finish(folder, [PRIOR])
        assert code == 0, text[-6000:]
        assert_same(folder, folders, [*FIRST, PRIOR])
        found["jobs"] = len(jobs(before)) + len(jobs(text)) - 1
        assert found["jobs"] == 0, before + text
