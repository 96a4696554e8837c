"""What jobs ask of the machine: memory that grows with images, pixels and attempts; GPUs; threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from skyscore.compute.devices import has_gpu
from skyscore.config.limits import DECOMPOSED_PIXELS

from .problems import Problems

__all__ = ["Resources"]

Wildcards = Any

COPIES = 3  # of a set of images that a job holds at once
MATRICES = 10  # of pixels^2 x pixels^2 that a job holds at once where it decomposes an operator


class Resources:
    """Creates the resource functions of a checked configuration.

    Arguments:
        config: the checked configuration.
        problems: a view of it.
        local: a function that says whether jobs run on this machine and not on a cluster; Snakemake knows it after it
            has read the rules.
        cores: of this run; None where a job does not know them.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        problems: Problems,
        local: Callable[[], bool] = lambda: True,
        cores: int | None = None,
    ):
        self.config, self.problems, self.local = config, problems, local
        #: threads of jobs that can use several: one that asks for all cores waits until they are idle, and what needs
        #: its output waits too
        self.half = max(1, (cores or 4) // 2)

    def memory(
        self, mb: int, more: Callable[[Wildcards], int] = lambda wildcards: 0
    ) -> Callable[[Wildcards, int], int]:
        """Memory of a job [MB], as much again with each attempt: a job that ran out of memory gets more the next time.

        The attempts are those of a profile's `retries`; a rule's own would stay inside the memory that was too small.
        """
        return lambda wildcards, attempt: (mb + more(wildcards)) * attempt

    def images(self, wildcards: Wildcards) -> int:
        """Memory [MB] of the images of a data set, or of a prior's, and of copies of them."""
        name = wildcards.get("dataset") or self.config["priors"][wildcards.prior]["dataset"]
        dataset = self.config["datasets"][name]
        return int(COPIES * 4 * dataset[wildcards.get("split", "train")] * dataset["pixels"] ** 2 // 10**6)

    def matrices(self, wildcards: Wildcards) -> int:
        """Memory [MB] of decomposing a problem's operator: matrices of pixels^2 x pixels^2 in float64."""
        problem, pixels = self.problems[wildcards.problem], self.problems.pixels(wildcards.problem)
        if problem["kind"] == "kappa":
            asked = problem["decompose"]
            if not (pixels**2 <= DECOMPOSED_PIXELS if asked is None else asked):
                return 0
        return MATRICES * 8 * pixels**4 // 10**6

    def one_gpu(self, wildcards: Wildcards) -> int:
        """One GPU; none on a machine without any, where jobs need not take turns but for the cores."""
        return int(not self.local() or has_gpu())

    def gpus_of_training(self, wildcards: Wildcards) -> int:
        """As many GPUs as share a batch."""
        return self.one_gpu(wildcards) * int(self.config["priors"][wildcards.prior]["training"]["devices"])
