"""Benchmarks of scaling: evaluations by image size and batch, seconds per sample, many observations in one run."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from skyscore.compute.compiled import compiled
from skyscore.diffusion.network import Denoiser, placed
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import NeuralPrior
from skyscore.samplers import sample

__all__ = [
    "bench_compiled",
    "bench_network",
    "bench_observations",
    "clock",
    "evaluations",
    "median_seconds",
    "seconds_per_sample",
]

SIDES = (32, 64, 128)
BATCHES = (1, 16, 256)
SAMPLERS = {
    "cla": {},
    "pigdm": {},
    "mmps": {"cg_steps": 2},
    "pnpdm": {"matched": True},
    "tds": {"twist": "level"},
}


def clock(device: str) -> float:
    """Seconds, after all work of the device has finished."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def median_seconds(call: Callable[[], object], device: str, repeats: int = 5) -> float:
    """Median time of a call in seconds, after one warm-up call."""
    call()
    times = []
    for _ in range(repeats):
        start = clock(device)
        call()
        times.append(clock(device) - start)
    return sorted(times)[repeats // 2]


def evaluations(network: NeuralPrior, n: int, device: str) -> tuple[Callable, Callable]:
    """Two functions: an evaluation of n images, and one with a vector-Jacobian product."""
    x, sigma = torch.randn(n, *network.shape, device=device), torch.ones(n, device=device)

    def evaluate() -> None:
        with torch.no_grad():
            network.denoise(x, sigma)

    def differentiate() -> None:
        leaf = x.clone().requires_grad_()
        torch.autograd.grad(network.denoise(leaf, sigma).sum(), leaf)

    return evaluate, differentiate


def bench_network(network: dict, device: str) -> dict[str, float]:
    """Evaluations per second, plain and with a vector-Jacobian product, by image size; by batch for small images.

    The network is that of the configuration at every size; its grid grows with the image.
    """
    found = {}
    for pixels in SIDES:
        prior = NeuralPrior(placed(Denoiser(pixels, 0.14, network), device))
        n = max(4, 64 * SIDES[0] ** 2 // pixels**2)
        plain, vjp = (n / median_seconds(call, device) for call in evaluations(prior, n, device))
        found |= {f"evaluations_per_s_{pixels}": plain, f"with_vjp_per_s_{pixels}": vjp}
    prior = NeuralPrior(placed(Denoiser(SIDES[0], 0.14, network), device))
    for n in BATCHES:
        found[f"evaluations_per_s_batch_{n}"] = n / median_seconds(evaluations(prior, n, device)[0], device)
    return found


def bench_compiled(network: dict, device: str, n: int = 64) -> dict[str, float]:
    """Effect of `torch.compile` on the network, with CUDA graphs on a GPU.

    Returns:
        `compile_s`, seconds to compile; `evaluation_time_ratio`, time of an evaluation relative to the uncompiled
        network; `with_vjp_time_ratio`, the same with a vector-Jacobian product, which no sampler compiles. Empty if
        the network cannot be compiled.
    """
    prior = NeuralPrior(placed(Denoiser(SIDES[0], 0.14, network), device))
    evaluate, differentiate = evaluations(prior, n, device)
    plain, vjp = (median_seconds(call, device) for call in (evaluate, differentiate))
    start = clock(device)
    with compiled(prior, images=n) as done:
        if not done:
            return {}
        found = {"compile_s": clock(device) - start}
        found["evaluation_time_ratio"] = median_seconds(evaluate, device) / plain
    prior.model.net.compile(dynamic=False)
    return found | {"with_vjp_time_ratio": median_seconds(differentiate, device) / vjp}


def problem(network: dict, device: str, observations: int = 1) -> tuple[NeuralPrior, GaussianLikelihood]:
    """An untrained prior of 32 pixels on a side, and linear data of this many images."""
    prior = NeuralPrior(placed(Denoiser(SIDES[0], 0.14, network), device))
    g = torch.Generator().manual_seed(0)
    A = torch.randn(64, SIDES[0] ** 2, generator=g) / SIDES[0]
    y = torch.randn(observations, 64, generator=g)
    y = y if observations > 1 else y[0]
    likelihood = GaussianLikelihood(MatrixOperator(A.to(device), prior.shape), y.to(device), 0.1)
    likelihood.spectrum()
    return prior, likelihood


def seconds_per_sample(network: dict, device: str, n: int = 32, steps: int = 24) -> dict[str, float]:
    """Wall time per independent sample with 24 levels: `<sampler>_s_per_sample`.

    For populations that share ancestors, only surviving samples count.
    """
    prior, likelihood = problem(network, device)
    found = {}
    for name, options in SAMPLERS.items():
        start = clock(device)
        samples = sample(name, prior, likelihood, n, steps=steps, sigma_max=10.0, **options)
        left = samples.diagnostics.get("unique_ancestors", n)
        found[f"{name}_s_per_sample"] = (clock(device) - start) / float(left)
    return found


def bench_observations(network: dict, device: str, observations: int = 16, n: int = 4) -> dict[str, float]:
    """Time of one run over many observations, relative to separate runs."""
    prior, together = problem(network, device, observations)
    options = {"steps": 10, "sigma_max": 10.0}

    def one_by_one() -> None:
        for o in range(observations):
            sample("cla", prior, together.observation(o), n, **options)

    both = [
        median_seconds(call, device, 3)
        for call in (lambda: sample("cla", prior, together, n, **options), one_by_one)
    ]
    return {"together_over_one_by_one": both[0] / both[1]}
