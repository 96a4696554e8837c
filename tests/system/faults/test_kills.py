"""Nothing is lost: jobs, runs and trainings killed at random times, the same command again, the same results."""

from __future__ import annotations

import contextlib
import random
import re
import time
from pathlib import Path

import psutil
import pytest

from tests.helpers.faults import (
    EVERY,
    PRIOR,
    RESULTS,
    STEPS,
    TRIES,
    assert_same,
    attempt,
    copied,
    damage,
    finish,
    jobs,
    jobs_of,
    kill,
    said,
    start,
)
from tests.helpers.workflow import LIMIT

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("fault", ["job", "run"])
def test_kills(folders, tmp_path, fault, seed):
    """At any time: the job that was at work is done again, and no other."""
    wait = random.Random(f"{fault} {seed}").uniform(0.1, 0.9) * folders["seconds"]
    for number in range(5):  # a run may be faster than the one that was timed
        run = start(folder := copied(folders["prepared"], tmp_path / f"{number}"))
        time.sleep(wait)
        if fault == "run":
            if run.poll() is None:
                kill(run)
        else:
            while run.poll() is None and not (victims := jobs_of(run)):
                time.sleep(0.01)
            for victim in victims if run.poll() is None else []:
                with contextlib.suppress(psutil.NoSuchProcess):
                    victim.kill()
        if run.wait(timeout=LIMIT) != 0:
            break
        wait /= 2
    with attempt(fault) as found:
        before = said(folder)
        code, text = finish(folder)
        assert code == 0, text[-6000:]
        assert_same(folder, folders)
        found["jobs"] = len(jobs(before)) + len(jobs(text)) - 3
        assert 0 <= found["jobs"] <= 1, before + text


def progress(folder: Path) -> str:
    return (folder / RESULTS / "logs/train_prior/galaxies16.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def interrupted(folders, tmp_path_factory) -> list[tuple[Path, int]]:
    """Trainings that were killed between two checkpoints, two of which are there; the steps that were made."""
    found = []
    for seed in range(TRIES):
        folder = copied(folders["prepared"], tmp_path_factory.mktemp("killed") / "run")
        run, wait = (
            start(folder, [PRIOR]),
            random.Random(f"training {seed}").randrange(2 * EVERY, STEPS - EVERY),
        )
        made = 0
        while run.poll() is None and made <= wait:
            time.sleep(0.002)
            with contextlib.suppress(OSError):
                made = max([0, *map(int, re.findall(rf"(\d+)/{STEPS} \[", progress(folder)))])
        kill(run)
        made = max(map(int, re.findall(rf"(\d+)/{STEPS} \[", progress(folder))))
        assert list(folder.glob("checkpoints/*.before.safetensors")), said(folder)
        found.append((folder, made))
    return found


@pytest.mark.parametrize("seed", range(TRIES))
@pytest.mark.parametrize("fault", ["training", "checkpoint half", "checkpoint zeros"])
def test_trainings_go_on_from_a_checkpoint_that_is_whole(folders, interrupted, tmp_path, fault, seed):
    killed, made = interrupted[seed]
    folder = copied(killed, tmp_path / "run")
    (last,) = (p for p in folder.glob("checkpoints/galaxies16-*.safetensors") if ".before" not in p.name)
    if fault != "training":
        damage(last, fault.split()[1])
    with attempt(fault) as found:
        code, text = finish(folder, [PRIOR])
        assert code == 0, text[-6000:]
        assert_same(folder, folders, [PRIOR])
        log, allowed = progress(folder), EVERY
        if fault != "training":
            assert f"{last.relative_to(folder)}: checkpoint is damaged (SHA-256 " in log
            allowed = 2 * EVERY  # the interval that was under way, and the one of the checkpoint
        resumed = int(re.search(r"training goes on from step (\d+)", log)[1])
        found["jobs"], found["steps"] = len(jobs(text)), made - resumed  # all of them had been started before
        assert resumed > 0 and made - resumed <= allowed
