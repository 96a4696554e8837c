"""The table of docs/explanation/reliability.md, from the record of a run of the fault tests.

`make reliability` writes the record, docs/results/reliability.json: it runs tests/system/faults, which inflicts
the faults.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

__all__ = ["RECORD", "origin", "table"]

RECORD = Path(__file__).resolve().parents[1] / "results" / "reliability.json"
HEADS = ("fault", "tried", "survived", "jobs repeated, at most", "training steps repeated, at most")


def recorded() -> dict:
    return json.loads(RECORD.read_text())


def table(record: Mapping | None = None) -> str:
    """One row for each fault.

    Arguments:
        record: `faults` (name: `tried`, `survived`, `jobs`, `steps`) and more; the recorded run by default.
    """
    record = recorded() if record is None else record
    rows = [
        (name, row["tried"], row["survived"], row["jobs"], "-" if row["steps"] is None else row["steps"])
        for name, row in record["faults"].items()
    ]
    lines = [HEADS, ("---",) * len(HEADS), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def origin(record: Mapping | None = None) -> str:
    """Where the numbers of the table come from, in a sentence or two."""
    record = recorded() if record is None else record
    source = record["provenance"]
    return (
        f"The training wrote a checkpoint every {record['checkpoint_every']} of its {record['steps']} steps. Recorded "
        f"by `make reliability` at revision `{source['git_revision'][:12]}` on {source['date'][:10]}, "
        f"{source['processor']}."
    )
