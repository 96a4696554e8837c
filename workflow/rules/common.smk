"""What all rules use: the plan of the run, `workflow/plan`."""

import os
import sys
from pathlib import Path

SOURCE = Path(workflow.basedir) / "src"
sys.path[:0] = [str(SOURCE), str(Path(workflow.basedir) / "workflow")]
# for the scripts: this checkout's library comes before one that is installed
os.environ.update(PYTHONPATH=os.pathsep.join(filter(None, [str(SOURCE), os.environ.get("PYTHONPATH")])))
# threads of torch that wait must not spin: on a machine shared with other work that slows small networks fifty times
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from plan.plan import Plan
from plan.run import one_of
from skyscore.provenance import decisive

plan = Plan(workflow, config)


wildcard_constraints:
    dataset=one_of(config["datasets"]),
    split="train|held_out",
    prior=one_of(config["priors"]),
    problem=one_of(config["problems"]),
    sampler=one_of(config["samplers"]),
    task=one_of(config["exact"]["tasks"]),
    path=one_of(plan.table),
    exercise=one_of({problem["exercise"] for problem in config["problems"].values()} - {None}),
    scope="validated|all",


onstart:
    plan.run.begin()


onsuccess:
    plan.run.end()
