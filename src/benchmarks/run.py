"""Benchmarks: `python -m benchmarks.run` writes results/bench.json.

Timings depend on the machine and its load. They are stored with a description of the machine, and no test asserts
them. Each ratio compares two things that were measured in turns in one process.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import yaml

from benchmarks.azula import bench_azula
from benchmarks.lensing import bench_lensing
from benchmarks.radio import bench_radio
from benchmarks.scaling import (
    bench_compiled,
    bench_network,
    bench_observations,
    clock,
    evaluations,
    median_seconds,
    seconds_per_sample,
)
from benchmarks.survey import bench_planning, bench_survey
from skyscore import io
from skyscore.compute.devices import pick_device
from skyscore.compute.precision import autocast, pick_precision
from skyscore.config.settings import check_config
from skyscore.diffusion.network import Denoiser, placed
from skyscore.diffusion.training import denoising_loss, train
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import NeuralPrior
from skyscore.provenance import provenance
from skyscore.samplers import sample

__all__ = ["bench_samplers", "bench_training", "main"]

ROOT = Path(__file__).resolve().parents[2]


def bench_training(
    prior: dict, pixels: int, device: str, steps: int = 20, rounds: int = 5
) -> dict[str, float]:
    """Training steps per second relative to a bare forward and backward pass of the same loss, median of rounds.

    Returns:
        `ratio_to_bare_loop`, `step_ms` and `bare_step_ms`.
    """
    settings = {**prior["training"], "steps": 10**9, "checkpoint_every": 10**9}
    images = torch.rand(256, 1, pixels, pixels)
    model = Denoiser(pixels, 0.14, prior["network"])
    precision = pick_precision(settings["precision"], device).name
    generator = torch.Generator(device).manual_seed(0)

    def bare() -> None:
        x = images[: settings["batch"]].to(device)
        for _ in range(steps):
            with autocast(device, precision):
                loss = denoising_loss(model, x, settings, generator)
            loss.backward()
            model.zero_grad(set_to_none=True)

    def full() -> None:
        nonlocal model
        model, _ = train(images, model, settings, 0, None, device, progress=False, stop_after=steps)
        model = placed(model, device).train().requires_grad_(True)

    full()  # moves the model to the device and warms up
    bare_times, full_times = [], []
    for _ in range(rounds):
        for call, times in ((bare, bare_times), (full, full_times)):
            start = clock(device)
            call()
            times.append(clock(device) - start)
    bare_s, full_s = (sorted(times)[rounds // 2] / steps for times in (bare_times, full_times))
    return {"ratio_to_bare_loop": bare_s / full_s, "step_ms": 1e3 * full_s, "bare_step_ms": 1e3 * bare_s}


def bench_samplers(prior: dict, pixels: int, device: str, n: int = 64, steps: int = 10) -> dict[str, float]:
    """Wall time of samplers divided by (evaluations x the time of a bare network call).

    The unit of samplers with gradients is a bare call with a vector-Jacobian product.

    Returns:
        `<sampler>_overhead`, `evaluation_ms` and `evaluation_with_vjp_ms`.
    """
    network = NeuralPrior(placed(Denoiser(pixels, 0.14, prior["network"]), device))
    operator = MatrixOperator(torch.randn(64, pixels**2, device=device) / pixels, network.shape)
    likelihood = GaussianLikelihood(operator, torch.randn(64, device=device), 0.1)
    likelihood.spectrum()
    bare, with_gradient = (median_seconds(call, device) for call in evaluations(network, n, device))
    numbers = {}
    for name, unit in (("cla", bare), ("pigdm", with_gradient)):
        options = {"steps": steps, "sigma_max": 10.0, "sigma_min": 0.05}
        taken = median_seconds(
            lambda name=name, options=options: sample(name, network, likelihood, n, **options), device
        )
        numbers[f"{name}_overhead"] = taken / (steps * unit)
    return {**numbers, "evaluation_ms": 1e3 * bare, "evaluation_with_vjp_ms": 1e3 * with_gradient}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", default=ROOT / "results" / "bench.json", help="file to write")
    parser.add_argument("--device", default="auto", help="cpu or cuda")
    arguments = parser.parse_args()
    device = pick_device(arguments.device)
    config = check_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    name = "galaxies32"
    prior, pixels = config["priors"][name], config["datasets"][config["priors"][name]["dataset"]]["pixels"]
    found = {}
    for title, call in (
        ("lensing", lambda: bench_lensing()),
        ("training", lambda: bench_training(prior, pixels, device)),
        ("radio", lambda: bench_radio()),
        ("samplers", lambda: bench_samplers(prior, pixels, device)),
        ("network", lambda: bench_network(prior["network"], device)),
        ("compiled", lambda: bench_compiled(prior["network"], device)),
        ("sampling", lambda: seconds_per_sample(prior["network"], device)),
        ("observations", lambda: bench_observations(prior["network"], device)),
        ("azula", lambda: bench_azula(prior["network"], device)),
        ("survey", lambda: bench_survey(config, device)),
        ("planning", lambda: bench_planning(config)),
    ):
        print(f"{title} ...", flush=True)
        found[title] = call()
        for key, value in found[title].items():
            print(f"  {key:<24} {value:.4g}")
    found["threads"] = torch.get_num_threads()
    io.write_json(arguments.output, {**found, "provenance": provenance({"device": device})})
    print(f"written to {arguments.output}")


if __name__ == "__main__":
    main()
