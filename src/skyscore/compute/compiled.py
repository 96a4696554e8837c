"""Networks compiled by `torch.compile`, for batches of one size that are evaluated without derivative.

Sampling evaluates a network thousands of times on batches of one size, so that one compilation serves a run, with CUDA
graphs on a GPU. Batches of another size and evaluations with a derivative go on as they are: a size of its own takes
another compilation, and the backward pass of a compiled network runs once, where samplers ask for several products with
the Jacobian of one evaluation.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import cache

import torch
from torch import nn

__all__ = ["compiled", "private_cache"]


@cache
def private_cache() -> str:
    """A folder of this process for what is compiled, gone with it.

    That of torch has a name below /tmp that others know and serves all runs, and what lies there is unpickled and run.
    """
    folder = tempfile.mkdtemp(prefix="skyscore-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(TORCHINDUCTOR_CACHE_DIR=folder, TRITON_CACHE_DIR=os.path.join(folder, "triton"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(torch.get_num_threads()))
    return folder


@contextlib.contextmanager
def compiled(*priors, images: int, enabled: bool = True) -> Iterator[bool]:
    """Within, the networks of learned priors are compiled for calls of so many images without derivative.

    What they return differs by rounding alone. Where one cannot be compiled, for want of a compiler for example, there
    is a warning, and everything goes on as it was.

    Arguments:
        priors: learned priors; those that hold no network, and None, are left alone.
        images: in one call.
        enabled: nothing is compiled if not.

    Yields:
        Whether the networks were compiled.
    """
    priors = [prior for prior in priors if hasattr(getattr(prior, "model", None), "net")]
    if not (enabled and priors):
        yield False
        return
    try:
        found = compile_now(priors, images)
        # what was not compiled by now is not compiled any more
        with torch.compiler.set_stance("eager_on_recompile"):
            yield found
    finally:
        for prior in priors:
            restore(prior.model.net)


def compile_now(priors: list, images: int) -> bool:
    """Compiles the networks by calls on blank images."""
    private_cache()
    start = time.perf_counter()
    for prior in priors:
        blank = torch.zeros(images, *prior.shape, device=next(prior.model.parameters()).device)
        graphs = blank.device.type == "cuda"
        # the graph of a GPU is recorded in a later call than the first
        mode, calls = ("reduce-overhead", 3) if graphs else ("default", 1)
        network = prior.model.net
        network.forward = torch.compile(network.forward, mode=mode, dynamic=False)
        try:
            with torch.no_grad():
                for _ in range(calls):
                    prior.denoise(blank, 1.0)
        except Exception as error:  # torch has many of them, of its own, of compilers and of drivers
            restore(network)
            reason = (str(error).strip().splitlines() or [""])[0]
            warnings.warn(f"network not compiled ({type(error).__name__}: {reason})", stacklevel=4)
            return False
    print(f"networks compiled for {images} images in {time.perf_counter() - start:.0f} s", flush=True)
    return True


def restore(network: nn.Module) -> None:
    """The network as its class has it."""
    vars(network).pop("forward", None)
