"""The graph of the rules, as Snakemake knows it.

It joins the graphs of two runs: the simulated problems with their priors trained, and the real observations. Rules that
draw figures are one node. An edge that follows from other edges is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import networkx as nx

__all__ = ["chart", "edges", "node", "rules"]

ROOT = Path(__file__).resolve().parents[2]
RUNS = (("--config", "train=true"), ("--configfile", "config/real.yaml"))
PARTS = ("Snakefile", "config", "envs", "profiles", "src", "weights", "workflow")

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


def rules(root: Path = ROOT) -> nx.DiGraph:
    """The graph of the workflow at `root`, reduced to the edges of which the others follow.

    Snakemake is asked in an empty folder that links to the workflow, so that no run in `root` is disturbed and no
    result of one is seen. It needs no network.

    Raises:
        RuntimeError: Snakemake could not build the graph.
    """
    graph = nx.DiGraph()
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            os.symlink(root / part, Path(folder, part))
        for arguments in RUNS:
            command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js", *arguments]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL
            )
            if done.returncode:
                raise RuntimeError(f"snakemake --rulegraph failed: {done.stderr.strip()[-500:]}")
            graph.add_edges_from(edges(done.stdout))
    return nx.transitive_reduction(graph)


def chart(root: Path = ROOT) -> str:
    """The graph as a Mermaid chart."""
    lines = (f"    {a} --> {b}" for a, b in sorted(rules(root).edges))
    return "\n".join(["```mermaid", "flowchart LR", *lines, "```"])
