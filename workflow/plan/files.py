"""The files behind a problem or a training set, by role: downloads of config/datasets.tsv, or a user's own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .configuration import Keys, stop

__all__ = ["Files"]


class Files:
    """Creates the lookup of files by role.

    Arguments:
        config: the checked configuration.
        table: rows of config/datasets.tsv by `<host>/<path>`.
        source: where a setting comes from, for messages.
    """

    def __init__(
        self, config: Mapping[str, Any], table: Mapping[str, dict[str, Any]], source: Callable[[Keys], str]
    ):
        self.config, self.table, self.source = config, table, source

    def rows(self, data: str | None, wanted_by: str) -> dict[str, tuple[str, dict[str, Any]]]:
        """The rows of one data set, `{role: (path, row)}`.

        Raises:
            SystemExit: if the table has no row of it.
        """
        rows = {row["file"]: (path, row) for path, row in self.table.items() if row["dataset"] == data}
        if data and not rows:
            raise stop(f"config/datasets.tsv: no row for the dataset {data!r} of {wanted_by}; add its files")
        return rows

    def own(self, name: str) -> dict[str, str]:
        """A problem's own files.

        Raises:
            SystemExit: if one is not there.
        """
        files = self.config["problems"][name]["files"]
        absent = [f"{role} {path!r}" for role, path in files.items() if not Path(path).is_file()]
        if absent:
            place = f"{self.source(('problems', name, 'files'))}: problems.{name}.files"
            remedy = f"correct the path or put the file there (paths are from {Path.cwd()})"
            raise stop(f"{place}: no such file: {', '.join(absent)}; {remedy}")
        return dict(files)

    def of(self, data: str | None, wanted_by: str) -> dict[str, str]:
        """Files of a data set of the table, or of the problem of that name that has its own."""
        if data and self.config["problems"].get(data, {}).get("files"):
            return self.own(data)
        return {role: f"data/{path}" for role, (path, _) in self.rows(data, wanted_by).items()}

    def of_problem(self, name: str) -> dict[str, str]:
        problem = self.config["problems"][name]
        return self.own(name) if problem["files"] else self.of(problem["data"], f"problem {name!r}")

    def known_roles(self, name: str) -> Mapping[str, Any]:
        """Roles of a problem's files, there or not."""
        problem = self.config["problems"][name]
        return problem["files"] or self.rows(problem["data"], f"problem {name!r}")

    def of_images(self, name: str) -> dict[str, str]:
        """The files behind a training set that is cut from data, by `<data set>/<role>`."""
        return {
            f"{data}/{role}": path
            for data in self.config["datasets"][name]["data"]
            for role, path in self.of(data, f"training set {name!r}").items()
        }

    def downloads(self) -> list[str]:
        """All files that jobs fetch by themselves."""
        return [f"data/{path}" for path, row in self.table.items() if row["fetch"] == "auto"]
