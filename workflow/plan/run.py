"""One run of the workflow: what is done before its first job, and what it says at its end."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from skyscore.compute.disk import unwritable

from . import preflight, restart, summary
from .configuration import stop
from .problems import Problems

__all__ = ["Run", "one_of"]


def one_of(names: Iterable[str]) -> str:
    """A regular expression that matches any of the names, and nothing if there are none."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


class Run:
    """Creates the run that Snakemake is about to make.

    Arguments:
        workflow: Snakemake's own object.
        config: the checked configuration.
        problems: a view of it.
        table: rows of config/datasets.tsv by `<host>/<path>`.
    """

    def __init__(
        self,
        workflow: Any,
        config: Mapping[str, Any],
        problems: Problems,
        table: Mapping[str, dict[str, Any]],
    ):
        self.workflow, self.config, self.problems, self.table = workflow, config, problems, table
        self.results = Path(config["pathvars"]["results"])
        self.book = restart.Book(".snakemake", [self.results, "data"])

    def recover_before_it_starts(self) -> None:
        """Has what a killed run left set right, once Snakemake knows that jobs are to be run and before it plans them.

        Questions (a dry run, `--summary`, `--report`, `--list-rules`, `--lint`) touch no file. Snakemake reads the
        Snakefile before it knows what it is asked for, hence the detour by the method that begins the planning.
        """
        prepare = self.workflow._prepare_dag

        def recovered(*arguments: Any, **more: Any) -> Any:
            if self.starts_jobs():
                for line in self.book.recover():
                    print(f"skyscore: {line}", file=sys.stderr)
            return prepare(*arguments, **more)

        self.workflow._prepare_dag = recovered

    def starts_jobs(self) -> bool:
        """Are jobs run by this process, and not by one that a cluster started for one of them?"""
        w = self.workflow
        asked = w.execution_settings is None or w.dryrun or w.touch
        return w.is_main_process and not asked

    def damaged(self) -> list[str]:
        """Files that were set aside because they are not what was written, as far as a rule makes them.

        They are asked for by name: Snakemake does not miss a file whose readers have been served.
        """
        rules = self.workflow.rules
        return [
            path for path in self.book.to_be_made_again() if any(rule.is_producer(path) for rule in rules)
        ]

    def begin(self) -> None:
        """Before the first job: can all files be had, and results be written? Then this run is entered in the book."""
        self.require_downloads()
        if wrong := unwritable(self.results):
            raise stop(wrong)
        if self.workflow.local_exec:
            # Snakemake 9's limit of 100 jobs a second wakes the scheduler once a second, and once more for every job
            # that has ended: after 80 of them it took a seventh of a core
            self.workflow.scheduler.job_rate_limiter = None
        self.book.started()

    def require_downloads(self) -> None:
        """Ends the run if a file that one of its jobs is to fetch cannot be had, and lists all of them."""
        jobs = self.workflow.dag.needrun_jobs()
        wanted = {job.wildcards.path for job in jobs if job.rule.name == "download_file"}
        try:
            preflight.require([self.table[path] for path in sorted(wanted)], self.config["mirror"])
        except preflight.MissingFiles as missing:
            raise stop(missing) from None

    def end(self) -> None:
        """Strikes the run out of the book and says what came out of it."""
        self.book.ended()
        print(self.summary())

    def summary(self) -> str:
        """Where to look, how the posteriors did, and how to make the report."""
        path, given = self.results / "numbers.json", self.workflow.config_settings
        files = [os.path.relpath(file) for file in given.configfiles]
        report = summary.report_command(self.results, files, given.config, self.workflow.dag_settings.targets)
        names = self.problems.of(self.config["target"])
        leads = {name: self.problems.default_sampler(name) for name in names}
        numbers = json.loads(path.read_text()) if path.exists() else {}
        return summary.headlines(numbers, self.results, report, leads)
