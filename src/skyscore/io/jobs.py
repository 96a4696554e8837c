"""A job of the workflow: its log, its one line on failure, its threads, device and random numbers."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skyscore import provenance as origin

from .files import InputError

if TYPE_CHECKING:
    import torch


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
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with (
        open(path, "w", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
    ):
        try:
            if threads:
                set_threads(threads)
            yield
        except InputError as error:
            message = f"skyscore: error: {error}"
        except MemoryError:
            message = f"skyscore: error: out of memory in {rule or 'the job'}; see {path}"
            traceback.print_exc(file=log)
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            message = f"skyscore: error: {type(error).__name__}: {first} (traceback in {path})"
            traceback.print_exc(file=log)
        else:
            return
        print(message, file=log)
    print(message, file=terminal, flush=True)
    raise SystemExit(1)


def set_threads(threads: int) -> None:
    """Bound the threads of torch's and the linear-algebra libraries' pools to what the scheduler gave this job."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # inherited by children; torch itself is told below
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(int(threads))


def pick_device(device: str = "auto") -> str:
    """ "auto" -> "cuda" where a GPU can be used, else "cpu"; other names pass through."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def generator(seed: int, device: str = "cpu") -> torch.Generator:
    """A torch random generator on `device` ("auto" picks the GPU if there is one) with the given seed."""
    import torch

    return torch.Generator(device=pick_device(device)).manual_seed(int(seed))
