"""Comparison with azula in one run: the same network, steps and problem, and the same exact posteriors.

azula (github.com/probabilists/azula, MIT, by the authors of MMPS) is a library of diffusion samplers. It is not a
dependency: `make bench` installs it (requirements.bench.lock) without its own dependencies, which have no build for
the CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.scaling import clock, problem
from skyscore.samplers import Samples, sample
from skyscore.samplers.counting import CountedPrior
from skyscore.validation.exact import floor, make_prior, make_task, sliced_wasserstein

__all__ = ["bench_azula"]

SIGMA = (0.01, 10.0)  # last and first noise level of both libraries [prior units]
CG = 4  # conjugate-gradient steps of both libraries
TASKS = ("blur", "fourier", "inpainting")
PRIORS, STEPS, SAMPLES, REPEATS = 2, 100, 512, 4  # for the exact posteriors


def bench_azula(network: dict, device: str, n: int = 32, steps: int = 24) -> dict[str, float]:
    """MMPS and PiGDM in both libraries, with the same number of levels and conjugate-gradient steps.

    Returns:
        `<sampler>_s`, `<sampler>_azula_s`: seconds per posterior sample of the network, 32 pixels, 64 data;
        `<sampler>_evaluations`, `<sampler>_azula_evaluations`: forward passes of the network per sample;
        `<sampler>_ratio`, `<sampler>_azula_ratio`: sliced Wasserstein distance to exact posteriors divided by the
        floor, averaged over three tasks with two priors. The dictionary is empty if azula is not installed.
    """
    try:
        import azula  # noqa: F401
    except ImportError:
        print("  azula is not installed; run: pip install --no-deps -r requirements.bench.lock")
        return {}
    found: dict[str, float] = {}
    prior, likelihood = problem(network, device)
    for name in ("mmps", "pigdm"):
        runs = {
            name: lambda name=name: ours(name, prior, likelihood, n, steps),
            f"{name}_azula": lambda name=name: theirs(name, prior, likelihood, n, steps),
        }
        for key, seconds in in_turns(runs, device).items():
            found |= {f"{key}_s": seconds / n, f"{key}_evaluations": runs[key]().nfe}
        for key, run in (("", ours), ("_azula", theirs)):
            found[f"{name}{key}_ratio"] = ratio_to_floor(name, run)
    return found


def in_turns(runs: dict[str, Callable[[], Any]], device: str, repeats: int = 3) -> dict[str, float]:
    """Median seconds of each function; they run in turns, after a first round for warming up."""
    times: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(repeats + 1):
        for key, run in runs.items():
            start = clock(device)
            run()
            times[key].append(clock(device) - start)
    return {key: sorted(seconds[1:])[repeats // 2] for key, seconds in times.items()}


def ratio_to_floor(name: str, run: Callable) -> float:
    """Distance to exact draws relative to that between two sets of exact draws, averaged over tasks and priors."""
    ratios = []
    for seed in range(PRIORS):
        prior = make_prior(seed)
        for index, task in enumerate(TASKS):
            case = make_task(task, prior, 100 + seed)
            g = torch.Generator().manual_seed(1000 * seed + index)
            base = float(floor(case.posterior, SAMPLES, 16, g).mean())
            for _ in range(REPEATS):
                x = run(name, case.prior, case.likelihood, SAMPLES, STEPS).x
                exact = case.posterior.sample(SAMPLES, g)
                ratios.append(sliced_wasserstein(x.flatten(1), exact.flatten(1)) / base)
    return sum(ratios) / len(ratios)


def ours(name: str, prior: Any, likelihood: Any, n: int, steps: int) -> Samples:
    """Samples of skyscore."""
    options = {"cg_steps": CG} if name == "mmps" else {}
    low, high = SIGMA
    return sample(name, prior, likelihood, n, steps=steps, sigma_min=low, sigma_max=high, **options)


def theirs(name: str, prior: Any, likelihood: Any, n: int, steps: int) -> Samples:
    """Samples of azula: its MMPS and PiGDM, both with its ancestral (DDPM) steps."""
    from azula.denoise import Denoiser, DiracPosterior
    from azula.guidance import MMPSDenoiser, PGDMSampler
    from azula.linalg.covariance import IsotropicCovariance
    from azula.noise import VESchedule
    from azula.sample import DDPMSampler

    class Shared(Denoiser):
        def __init__(self):
            super().__init__()
            self.schedule = VESchedule(*SIGMA)

        def forward(self, x_t: Tensor, t: Tensor) -> DiracPosterior:
            return DiracPosterior(counted.denoise_in_graph(x_t, self.schedule(t)[1]))

    matrix, y = likelihood.operator.A, likelihood.y
    variance, grid = float(likelihood.std) ** 2, {"steps": steps, "silent": True}
    counted, denoiser = CountedPrior(prior, prior.shape), Shared()
    if name == "mmps":
        covariance = IsotropicCovariance(variance)
        guided = MMPSDenoiser(denoiser, y, lambda x: x @ matrix.T, covariance, solver="cg", iterations=CG)
        sampler = DDPMSampler(guided, **grid)
    else:
        inverse = torch.linalg.pinv(matrix)
        sampler = PGDMSampler(denoiser, y, lambda x: x @ matrix.T, lambda v: v @ inverse.T, eta=1.0, **grid)
    x = sampler.init((n, math.prod(prior.shape)), device=y.device)
    # azula does not count vector-Jacobian products
    return Samples(sampler(x).reshape(n, *prior.shape), counted.nfe / n, nvjp=math.nan)
