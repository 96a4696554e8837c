"""The worked example of docs/how-to/own-data.md, on the prior of the test configuration: blocks, files, images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from snakemake.utils import update_config

from plan.parameters import AFTER_OBSERVATION
from skyscore.config.settings import check_config
from skyscore.simulate.convergence import Convergence
from tests.helpers import observer
from tests.helpers.configuration import merged
from tests.helpers.workflow import ROOT

PIXELS = 16
EXAMPLE = ROOT / "docs" / "examples" / "own.yaml"
SMALL = {  # the example on the prior of the test configuration
    "problems": {
        "mylens": {"prior": "gaussian16", "n_samples": 4},
        "myshapes": {"prior": "kappa16", "n_samples": 8},
        "myshear": {"prior": "kappa16", "n_samples": 8},
        "mygalaxy": {"prior": "galaxies16", "n_samples": 8, "scale": 0.06},
        "mydisk": {"prior": "galaxies16", "n_samples": 8, "field": 2.4},
        "mytable": {"prior": "galaxies16", "n_samples": 8, "field": 2.4},
    }
}


def configuration(files: Path | None = None) -> dict:
    """The example under the test configuration with its small priors, paths of its files from a folder."""
    config = merged("config/config.yaml", "config/test.yaml", EXAMPLE)
    update_config(config, SMALL)
    if files is not None:
        for problem in config["problems"].values():
            own = problem.get("files") or {}
            own.update({role: str(files / Path(path).name) for role, path in own.items()})
    return check_config(config)


def images(problem: dict) -> np.ndarray:
    """What a prior learns from: fields of the convergence, or round blobs on dark ground."""
    if problem["kind"] == "kappa":
        return Convergence.simulate(400, PIXELS, {"pixel_scale": 2.5}, 1)
    g = np.random.default_rng(1)
    x, y = observer.grid(PIXELS, 1.0)
    made = [
        g.uniform(0.3, 1.0) * observer.blob(x - a, y - b, s)
        for a, b, s in zip(*g.normal(0, 2, (2, 600)), g.uniform(1, 3, 600), strict=True)
    ]
    return np.stack(made)[:, None].astype(np.float32)


def inputs(name: str, mine: Path, **changed) -> tuple[dict, dict[str, str]]:
    """Settings and files of a block, as the rules hand them on."""
    problem = configuration(mine)["problems"][name]
    return {key: value for key, value in problem.items() if key not in AFTER_OBSERVATION} | changed, dict(
        problem["files"]
    )
