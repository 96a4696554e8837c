"""The graph of the rules in README.md, as Snakemake has it: `make docs` writes it.

Joined from the simulated problems, with their priors trained, and the real ones; rules that draw are one node, and an
edge that longer ways imply is left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

__all__ = ["drawn", "edges", "graph", "reduced"]

BEGIN, END = "<!-- rules: made by `make docs` -->", "<!-- end of rules -->"
RUNS = (("--config", "train=true"), ("--configfile", "config/real.yaml"))

Edge = tuple[str, str]


def node(rule: str) -> str | None:
    """The node that stands for a rule; targets have none."""
    return None if rule == "all" else "figures" if rule.startswith("plot_") else rule


def edges(text: str) -> set[Edge]:
    """Pairs (rule, rule that reads what it writes) in what `snakemake --rulegraph mermaid-js` prints."""
    names = dict(re.findall(r"^\s*(id\d+)\[(\w+)\]$", text, re.MULTILINE))
    pairs = re.findall(r"^\s*(id\d+) --> (id\d+)$", text, re.MULTILINE)
    found = {(node(names[first]), node(names[second])) for first, second in pairs}
    return {(a, b) for a, b in found if a and b and a != b}


def reduced(found: set[Edge]) -> set[Edge]:
    """The fewest edges of which the others follow (the graph has no cycle)."""
    after: dict[str, set[str]] = {}
    for first, second in found:
        after.setdefault(first, set()).add(second)

    def reached(start: str) -> set[str]:
        return set().union(*({rule} | reached(rule) for rule in after.get(start, ())))

    implied = {(first, far) for first, second in found for far in reached(second)}
    return found - implied


def drawn(found: set[Edge]) -> str:
    """The edges as a Mermaid chart."""
    return "\n".join(["```mermaid", "flowchart LR", *(f"    {a} --> {b}" for a, b in sorted(found)), "```"])


def graph(root: Path) -> str:
    """The chart of the workflow at `root`; asks Snakemake, which needs no network for it.

    Raises:
        RuntimeError: Snakemake could not build the graph.
    """
    found: set[Edge] = set()
    for arguments in RUNS:
        command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js", *arguments]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"snakemake --rulegraph failed: {done.stderr.strip()[-500:]}")
        found |= edges(done.stdout)
    return drawn(reduced(found))
