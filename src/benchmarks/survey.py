"""Benchmarks of a survey: the cost of a hundred samples of each of many lenses, and of planning their jobs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from benchmarks.scaling import clock
from skyscore.diffusion.network import Denoiser, placed
from skyscore.priors import NeuralPrior
from skyscore.problems import PROBLEMS
from skyscore.samplers import sample_problem
from skyscore.simulate import SIMULATORS

__all__ = ["bench_planning", "bench_survey"]

ROOT = Path(__file__).resolve().parents[2]
SIDES = {"cpu": (32, 64), "cuda": (32, 64, 128)}  # 128: 16,384 singular vectors, for a GPU
SURVEY, EACH = 100_000, 100  # number of lenses, samples per lens
PLANNED = (10, 100)  # number of lenses in one configuration


def bench_survey(config: Mapping[str, Any], device: str) -> dict[str, float]:
    """Cost of a simulated lens with the default sampler of lenses, for several image sizes, and of a whole survey.

    Keys end with the pixels on a side: `prepare_s` (operator and its singular vectors, once per lens),
    `s_per_sample`, and for a survey of 1e5 lenses with 100 samples each `hours` on a machine like this and
    `terabytes` of samples in float32. The prior is a plain untrained network, that of the configuration at every
    size.
    """
    lens = config["problems"]["lens"]
    settings = {k: v for k, v in lens.items() if k not in ("kind", "data", "files")}
    method, network = config["samplers"][lens["samplers"][0]], config["priors"][lens["prior"]]["network"]
    looks = config["datasets"][config["priors"][lens["prior"]]["dataset"]]["galaxies"]
    found = {}
    for pixels in SIDES[device]:
        prior = NeuralPrior(placed(Denoiser(pixels, 0.14, network), device))
        images = SIMULATORS["galaxies"].simulate(8, pixels, looks, 0)
        # data pixels that are small enough for the source pixels
        observed = PROBLEMS["lens"].simulate(
            settings | {"image_pixels": 2 * pixels, "image_scale": 0.09 * 32 / pixels}, images, 0
        )
        start = clock(device)
        problem = PROBLEMS["lens"](observed, device)
        problem.likelihood.spectrum()
        prepared = clock(device) - start
        n = max(4, 16 * 32**2 // pixels**2)
        sample_problem(method | {"steps": 4}, prior, problem, n)  # warms up
        start = clock(device)
        sample_problem(method, prior, problem, n)
        each = (clock(device) - start) / n
        found |= {
            f"prepare_s_{pixels}": prepared,
            f"s_per_sample_{pixels}": each,
            f"hours_{pixels}": SURVEY * (prepared + EACH * each) / 3600,
            f"terabytes_{pixels}": SURVEY * EACH * pixels**2 * 4 / 1e12,
        }
    return found


def bench_planning(config: Mapping[str, Any]) -> dict[str, float]:
    """Time that Snakemake itself takes.

    Returns:
        `plan_s_<n>`, seconds until the jobs of n lenses are planned; `job_s_<n>`, seconds that each cluster job
        spends on the configuration of all n lenses before it starts; `import_s`, seconds to load the library.
    """
    found, lens = {}, config["problems"]["lens"]
    sampler = lens["samplers"][0]
    lens = {"kind": "lens", "prior": lens["prior"], "samplers": [sampler]}
    for n in PLANNED:
        blocks = {f"lens{i:05d}": lens for i in range(n)}
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "survey.yaml"
            path.write_text(
                yaml.safe_dump({"pathvars": {"results": f"{folder}/results"}, "problems": blocks})
            )
            wanted = [f"{folder}/results/{name}/{sampler}/posterior.h5" for name in blocks]
            found |= {f"plan_s_{n}": planned(path, wanted), f"job_s_{n}": planned(path, wanted[:1])}
    return found | {
        "import_s": seconds([sys.executable, "-c", "import skyscore.samplers, skyscore.problems"])
    }


def planned(path: Path, wanted: list[str]) -> float:
    """Seconds of a dry run."""
    return seconds(
        [sys.executable, "-m", "snakemake", "-n", "-q", "all", "--configfile", str(path), "--", *wanted]
    )


def seconds(command: list[str], repeats: int = 3) -> float:
    """Median wall time of a command in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[repeats // 2]
