"""Runs a job of the workflow: its log, its one-line error message, its threads."""

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
    """A log file. Text that cannot be written, for instance on a full disk, is dropped and does not end the job."""

    def __init__(self, path: str | Path):
        self.file: IO[str] | None = None
        with contextlib.suppress(OSError):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self.file = open(path, "w", buffering=1, encoding="utf-8")

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):  # ValueError after the file is closed
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
    """Runs a job with its output in the log file `path`; a failing job ends with one clear line and exit code 1.

    An `InputError` writes its line to the log and to the terminal. Any other exception writes its traceback to the log,
    and one line to the terminal that names the log.

    Arguments:
        path: log file; None runs the job without a log.
        threads: limit on torch's threads.
        config, rule: configuration and rule, for the provenance and for messages.
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
    """One line for an error that is not an `InputError`."""
    if isinstance(error, MemoryError):
        return f"out of memory in {rule or 'the job'}; give the job more memory, or run fewer jobs at once"
    if type(error).__name__ == "OutOfMemoryError":  # torch's class; not every job imports torch
        return f"out of GPU memory in {rule or 'the job'}; use a larger GPU, or the CPU with CUDA_VISIBLE_DEVICES=-1"
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def set_threads(threads: int) -> None:
    """Limits the threads of torch and of the linear-algebra libraries to those that the scheduler gave this job."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # inherited by child processes; torch is set below
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(threads))
