"""docs/reliability.md, made from the record of a run of the fault tests: `python -m docs.make.reliability`.

The record, docs/results/reliability.json, is written by `make reliability`, which runs tests/system/test_faults.py.
A test fails if the text is not what its record makes, or if the record does not hold the faults of the tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["described"]

ROOT = Path(__file__).resolve().parents[2]
RECORD, TEXT = ROOT / "docs" / "results" / "reliability.json", ROOT / "docs" / "reliability.md"

HEAD = """# Reliability

<!-- made from docs/results/reliability.json by `python -m docs.make.reliability`; do not edit -->

After any of the faults below, type the same command again. What is there then is what an undisturbed run makes, but for
dates and wall times, and what is repeated is bounded:

* **Files are whole or absent.** Each is written under a temporary name, flushed to disk and renamed.
* **Damage is found.** The SHA-256 of each file is kept beside it (`.posterior.h5.sha256`, for `sha256sum --check`) and
  compared before a job reads the file. A run begins by comparing all of them: after a run that ended well only where
  the time of a file has changed, after any other by its content. A damaged file is named, kept as `<name>.damaged` and
  made again, and then what is made from it, since Snakemake cannot know that it comes out the same.
* **A killed run needs no `--unlock`.** Its lock is removed once no process of this machine holds it. That of a run on
  another machine is left alone: if it was killed, `snakemake --unlock`.
* **Trainings go on** from the last checkpoint (`training.checkpoint_every`), or from the one before if that is damaged.
* **What cannot be written is one line**: the file, why, what to do. Nothing half written is left.

Every fault is inflicted on a part of the `test` configuration: the prior, one sampler's posterior of the lens, its
residuals. Times and places are random, from a seed; results are compared with an undisturbed run's, array by array.

| fault | tried | survived | jobs repeated, at most | training steps repeated, at most |
| --- | --- | --- | --- | --- |
"""


def described(record: Mapping) -> str:
    """The text of docs/reliability.md for a record: `faults` (name: `tried`, `survived`, `jobs`, `steps`) and more."""
    rows = [
        f"| {name} | {row['tried']} | {row['survived']} | {row['jobs']} | {steps(row['steps'])} |"
        for name, row in record["faults"].items()
    ]
    source = record["provenance"]
    tail = f"""
A checkpoint was kept every {record["checkpoint_every"]} of {record["steps"]} steps. A job that is started again counts
as repeated, also where it goes on from a checkpoint; jobs that read a damaged file count too. Made by
`make reliability`, revision `{source["git_revision"][:12]}`, {source["date"][:10]}, {source["processor"]}.

Not tried: a power cut in earnest, disks that lose what they confirmed as flushed, network file systems, a scheduler
that dies, a GPU that fails, a killed Snakemake whose jobs live on. A file without a checksum beside it, such as one
that you copied in yourself, is taken as it is; logs and benchmarks have none.
"""
    return HEAD + "\n".join(rows) + "\n" + tail


def steps(number: int | None) -> str:
    return "-" if number is None else str(number)


if __name__ == "__main__":
    TEXT.write_text(described(json.loads(RECORD.read_text())), encoding="utf-8")
