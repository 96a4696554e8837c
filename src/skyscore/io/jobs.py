"""A job of the workflow: its log, its one line on failure, its threads."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from io import TextIOBase
from pathlib import Path
from typing import IO

from skyscore import provenance as origin

from .files import InputError


class Log(TextIOBase):
    """A log file. A full disk ends no job through its log: what cannot be written into it is lost."""

    def __init__(self, path: str | Path):
        self.file: IO[str] | None = None
        with contextlib.suppress(OSError):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, "w", buffering=1, encoding="utf-8")

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # the latter once it is closed
            if self.file is not None:
                self.file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            if self.file is not None:
                self.file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            if self.file is not None:
                self.file.close()
        super().close()


@contextlib.contextmanager
def logged(
    path: str | Path | None,
    threads: int | None = None,
    config: Mapping | None = None,
    rule: str | None = None,
) -> Iterator[None]:
    """Run a job with its output in the log file `path`; end a failing one with one clear line and exit code 1.

    An `InputError` puts its one line into the log and on the terminal. Any other exception puts its traceback into the
    log, and on the terminal one line that says where the log is. `threads` bounds torch's threads.
    """
    terminal = sys.stderr
    origin.begin(config, rule)
    if path is None:
        yield
        return
    with Log(path) as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        try:
            if threads:
                set_threads(threads)
            yield
            return
        except InputError as error:
            message = f"skyscore: error: {error}"
        except Exception as error:
            message = f"skyscore: error: {described(error, rule)} (traceback in {path})"
            traceback.print_exc(file=log)
        print(message, file=log)
    print(message, file=terminal, flush=True)
    raise SystemExit(1)


def described(error: Exception, rule: str | None) -> str:
    """One line for an error that is no `InputError`."""
    if isinstance(error, MemoryError):
        return f"out of memory in {rule or 'the job'}"
    if type(error).__name__ == "OutOfMemoryError":  # of torch, which not every job has
        return f"out of GPU memory in {rule or 'the job'}; use a larger GPU, or the CPU by CUDA_VISIBLE_DEVICES=-1"
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def set_threads(threads: int) -> None:
    """Bound the threads of torch's and the linear-algebra libraries' pools to what the scheduler gave this job."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # inherited by children; torch itself is told below
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(threads))
