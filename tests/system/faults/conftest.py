"""Runs that all faults begin with, and the record of what was tried."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from skyscore.provenance import provenance
from tests.helpers.faults import EVERY, FIRST, OVERLAY, RECORD, STEPS, copied, finish, jobs
from tests.helpers.workflow import copy_workflow


@pytest.fixture(autouse=True)
def record() -> Iterator[None]:
    """What was tried, written after each fault where SKYSCORE_RELIABILITY names a file.

    Faults that this session has not tried keep what a session of the same revision found.
    """
    yield
    if path := os.environ.get("SKYSCORE_RELIABILITY"):
        keys = ("git_revision", "git_dirty", "date", "processor", "versions")
        origin = {key: provenance()[key] for key in keys}
        before = json.loads(Path(path).read_text()) if Path(path).exists() else {"faults": {}}
        same = before.get("provenance", {}).get("git_revision") == origin["git_revision"]
        known = before["faults"] if same else {}
        rows = {name: row if row["tried"] else known.get(name, row) for name, row in RECORD.items()}
        content = {"faults": rows, "steps": STEPS, "checkpoint_every": EVERY, "provenance": origin}
        Path(path).write_text(json.dumps(content, indent=1) + "\n")


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict:
    """`prepared`: data and observation are made; `finished`: all is; `seconds` and `jobs` from one to the other."""
    prepared = copy_workflow(tmp_path_factory.mktemp("prepared"))
    (prepared / "faults.yaml").write_text(OVERLAY)
    code, text = finish(prepared, FIRST)
    assert code == 0, text[-6000:]
    finished = copied(prepared, tmp_path_factory.mktemp("base") / "finished")
    begun = time.monotonic()
    code, text = finish(finished)
    assert code == 0, text[-6000:]
    assert len(jobs(text)) == 3, text
    return {"prepared": prepared, "finished": finished, "seconds": time.monotonic() - begun}
