"""Networks compiled by `torch.compile`, for batches of one size that are evaluated without derivatives.

Sampling evaluates a network thousands of times on batches of one size, so that one compilation serves a run, with
CUDA graphs on a GPU. Batches of other sizes and evaluations with a derivative run uncompiled: each other size would
need another compilation, and the backward pass of a compiled network runs only once, while samplers need several
products with the Jacobian of one evaluation.
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
from typing import Any

import torch
from torch import nn

__all__ = ["compiled", "private_cache"]


@cache
def private_cache() -> str:
    """Creates a folder for compiled code that belongs to this process and is deleted with it.

    The default folder of torch lies below /tmp under a predictable name, serves all runs, and its contents are
    unpickled and executed.
    """
    folder = tempfile.mkdtemp(prefix="skyscore-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ.update(TORCHINDUCTOR_CACHE_DIR=folder, TRITON_CACHE_DIR=os.path.join(folder, "triton"))
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", str(torch.get_num_threads()))
    return folder


@contextlib.contextmanager
def compiled(*priors: Any, images: int, enabled: bool = True) -> Iterator[bool]:
    """Context in which the networks of learned priors are compiled for calls of `images` images without derivative.

    The results differ only by rounding. If a network cannot be compiled, for example without a compiler, there is a
    warning and it runs uncompiled.

    Arguments:
        priors: learned priors; None and priors without a network are ignored.
        images: number of images in one call.
        enabled: if False, nothing is compiled.

    Yields:
        Whether the networks were compiled.
    """
    networks = [prior for prior in priors if hasattr(getattr(prior, "model", None), "net")]
    if not (enabled and networks):
        yield False
        return
    try:
        found = compile_now(networks, images)
        # from here on nothing else is compiled
        with torch.compiler.set_stance("eager_on_recompile"):
            yield found
    finally:
        for prior in networks:
            restore(prior.model.net)


def compile_now(priors: list[Any], images: int) -> bool:
    """Compiles the networks by calls with blank images; returns whether that worked."""
    private_cache()
    start = time.perf_counter()
    for prior in priors:
        blank = torch.zeros(images, *prior.shape, device=next(prior.model.parameters()).device)
        graphs = blank.device.type == "cuda"
        # on a GPU the graph is recorded only after the first call
        mode, calls = ("reduce-overhead", 3) if graphs else ("default", 1)
        network = prior.model.net
        network.forward = torch.compile(network.forward, mode=mode, dynamic=False)
        try:
            with torch.no_grad():
                for _ in range(calls):
                    prior.denoise(blank, 1.0)
        except Exception as error:  # torch, compilers and drivers raise many types
            restore(network)
            reason = (str(error).strip().splitlines() or [""])[0]
            warnings.warn(
                f"network not compiled ({type(error).__name__}: {reason}); it runs uncompiled", stacklevel=4
            )
            return False
    print(f"networks compiled for {images} images in {time.perf_counter() - start:.0f} s", flush=True)
    return True


def restore(network: nn.Module) -> None:
    """Restores the uncompiled network."""
    vars(network).pop("forward", None)
