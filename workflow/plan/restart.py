"""A run that takes up what a killed one left: its lock, and files that are not what was written.

Snakemake keeps a lock until a run ends, so that after a kill or a power cut every later run is refused until somebody
types --unlock. Here a run holds a lock of the operating system beside it (flock), which dies with the process: who gets
it for himself alone knows that nobody is at work in this folder.

Damaged files are renamed to `<name>.damaged`, so that no job uses them and Snakemake makes them again.

Uses the standard library only, since it runs where Snakemake does, outside the environments of the rules.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skyscore import checksums

__all__ = ["Book", "main"]


class Book:
    """Creates the book of the runs in one folder: `skyscore.runs`, a line "host pid" for each that did not end well.

    Arguments:
        home: Snakemake's own folder, `.snakemake`.
        folders: that hold what the workflow makes.

    Attributes:
        alone: whether no other run lives in this folder, as far as the file system can tell.
        unclean: whether a run before this one was killed or failed; then no time of a file is to be trusted.
    """

    def __init__(self, home: str | Path, folders: Sequence[str | Path]):
        self.home, self.folders = Path(home), [Path(folder) for folder in folders]
        self.book: Any = None  # the open file, once `take_up` has opened it
        self.alone = self.unclean = self.checked = False

    def recover(self) -> list[str]:
        """Removes the locks of dead runs and sets damaged files aside; a line for each thing done."""
        return self.take_up() + self.check()

    def take_up(self) -> list[str]:
        """Remove the locks of runs that are dead; one line if there were any.

        A lock that a run of another host may hold stays: not every file system shares flock between hosts.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self.book = open(
                self.home / "skyscore.runs", "a+", encoding="utf-8"
            )  # held as long as this run lives
        except OSError:
            return []
        with contextlib.suppress(OSError):  # somebody else holds it, or the file system knows no such lock
            fcntl.flock(self.book, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.alone = True
        runs = self.runs()
        self.unclean = bool(runs)
        here = all(run.split()[0] == socket.gethostname() for run in runs)
        stale = sorted((self.home / "locks").glob("*.lock")) if self.alone and here else []
        for lock in stale:
            lock.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            fcntl.flock(self.book, fcntl.LOCK_SH)
        return ["the last run was killed; its lock is removed, and the work goes on"] if stale else []

    def check(self) -> list[str]:
        """Set every damaged file aside; one line for each. Every file is read if the last run did not end well."""
        if not self.alone:
            return []
        said = []
        for folder in self.folders:
            for path, reason in checksums.damaged_in(folder, thorough=self.unclean):
                aside = path.with_name(f"{path.name}.damaged")
                try:
                    os.replace(path, aside)
                    checksums.forget(path)
                except OSError as error:
                    said.append(f"{path}: damaged ({reason}), and {error.strerror}; delete it and run again")
                else:
                    said.append(f"{path}: damaged ({reason}); kept as {aside.name}, to be made again")
        self.checked = True
        return said

    def to_be_made_again(self) -> list[str]:
        """Files that were set aside, by this run or one before it, and are not there again yet."""
        aside = (path for folder in self.folders for path in sorted(folder.rglob("*.damaged")))
        return [str(path.with_suffix("")) for path in aside if not path.with_suffix("").exists()]

    def started(self) -> None:
        """Enter this run; those that died before it are struck out once files were checked."""
        if self.book is not None:
            self.enter([] if self.checked else self.runs(), self.name)

    def ended(self) -> None:
        """Strike this run out: it ended well."""
        if self.book is not None:
            self.enter([run for run in self.runs() if run != self.name])

    @property
    def name(self) -> str:
        return f"{socket.gethostname()} {os.getpid()}"

    def runs(self) -> list[str]:
        self.book.seek(0)
        return [line for line in self.book.read().splitlines() if line.strip()]

    def enter(self, runs: Sequence[str], *more: str) -> None:
        with contextlib.suppress(OSError):  # a full disk
            self.book.truncate(0)
            self.book.write("".join(f"{run}\n" for run in [*runs, *more]))
            self.book.flush()


def main() -> None:
    """`make recover`: repairs what a killed run left in this folder, without starting a run. Reads every file."""
    book = Book(".snakemake", [*sorted(path for path in Path("results").glob("*") if path.is_dir()), "data"])
    done = book.take_up()
    if not book.alone:
        raise SystemExit("skyscore: a run is at work in this folder; nothing was changed")
    book.unclean = True
    done += book.check()
    book.started()
    book.ended()
    print("\n".join(f"skyscore: {line}" for line in done) or "skyscore: no stale lock, no damaged file")


if __name__ == "__main__":
    main()
