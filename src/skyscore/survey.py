"""Splits a survey into parts that run separately: `python -m skyscore.survey lenses.yaml parts --size 100`.

A run plans all of its jobs before the first one starts, and on a cluster each job reads the whole configuration. Both
times grow with the number of observations (measured in docs/explanation/scaling.md). A survey therefore runs in parts
of some hundred observations. Each part is a folder in which snakemake runs with its own lock, on one machine of a
cluster,

    snakemake --snakefile ../../Snakefile --cores all --configfile part.yaml -- posteriors

It contains only the blocks of its observations and links to the configuration and the weights. The configuration must
contain `target: real`; otherwise the target `posteriors` means the simulated problems. Seeds follow from the seed of
the run and the name of an observation, so that the samples of an observation do not depend on its part.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from . import io

__all__ = ["main", "split"]

SHARED = ("config", "weights")


def split(config: Mapping[str, Any], folder: str | Path, size: int, workflow: str | Path = ".") -> list[Path]:
    """Writes the parts `<folder>/00000` and so on, over existing ones, and returns their folders.

    Arguments:
        config: a configuration whose `problems` are the observations; relative file names start at the current
            folder.
        folder: folder of the parts.
        size: number of observations in a part.
        workflow: folder of the workflow, which contains `config` and `weights`.

    Raises:
        ValueError: if there are no problems, or the size is below one.
    """
    problems = list(config.get("problems", {}).items()) if isinstance(config, Mapping) else []
    if not problems or size < 1:
        raise ValueError(
            f"cannot split {len(problems)} problems into parts of {size}; give a configuration with a block under "
            "`problems` for each observation, and a size of at least 1"
        )
    found = []
    for part, first in enumerate(range(0, len(problems), size)):
        here = Path(folder) / f"{part:05d}"
        here.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            if not (here / name).exists():
                (here / name).symlink_to(os.path.relpath(Path(workflow).resolve() / name, here.resolve()))
        blocks = {name: seen_from(here, block) for name, block in problems[first : first + size]}
        io.write_text(here / "part.yaml", yaml.safe_dump({**config, "problems": blocks}, sort_keys=False))
        found.append(here)
    return found


def seen_from(here: Path, block: Mapping[str, Any]) -> dict[str, Any]:
    """The block of an observation, with file names relative to another folder."""
    files = {
        role: path if os.path.isabs(path) else os.path.relpath(path, here)
        for role, path in block.get("files", {}).items()
    }
    return {**block, **({"files": files} if files else {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "config", type=Path, help="configuration with a block under `problems` for each observation"
    )
    parser.add_argument("folder", type=Path, help="folder of the parts")
    parser.add_argument("--size", type=int, default=100, help="number of observations in a part")
    arguments = parser.parse_args()
    try:
        found = split(yaml.safe_load(arguments.config.read_text()), arguments.folder, arguments.size)
    except (OSError, ValueError, yaml.YAMLError) as error:
        parser.error(f"{arguments.config}: {error}")
    print(f"{len(found)} parts in {arguments.folder}")


if __name__ == "__main__":
    main()
