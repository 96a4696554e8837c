"""The plan of a run: one object through which the rules reach everything in this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .code import Library
from .configuration import checked_config, checked_table, source_of
from .figures import figures
from .files import Files
from .inputs import Inputs
from .parameters import Parameters
from .problems import Problems
from .resources import Resources
from .run import Run
from .targets import Targets

__all__ = ["Plan"]


class Plan:
    """Creates the plan of a run from what Snakemake read; completes `config` with all defaults.

    Arguments:
        workflow: Snakemake's own object.
        config: the merged configuration.

    Raises:
        SystemExit: with one line, if a setting or a row of a table is wrong.

    Attributes:
        problems: which problems, samplers and priors belong to a target.
        files: the files behind problems and training sets.
        inputs: input functions of the rules.
        targets: what each target consists of.
        needs: memory, threads and GPUs.
        parameters: seeds and settings of jobs.
        code: hashes of the code behind each script.
        figures: all figures.
        run: what happens before the first job and after the last.
    """

    def __init__(self, workflow: Any, config: dict[str, Any]):
        base, given = Path(workflow.basedir), workflow.config_settings
        source = source_of(base, given.configfiles, dict(given.config))
        config.update(checked_config(config, source))
        self.table = checked_table(base)
        self.problems = Problems(config)
        self.files = Files(config, self.table, source)
        self.inputs = Inputs(config, self.problems, self.files)
        self.targets = Targets(config, self.problems, self.files)
        self.needs = Resources(
            config, self.problems, lambda: workflow.local_exec, workflow.resource_settings.cores
        )
        self.parameters = Parameters(config, self.problems, self.files)
        self.code = Library(base / "src")
        self.figures = figures(config["target"], self.problems, self.inputs, self.targets, self.parameters)
        self.run = Run(workflow, config, self.problems, self.table)
        self.run.recover_before_it_starts()
