"""Reads the conda environments (envs/*.yaml) and the pins of requirements.lock."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
# names that differ: conda -> pip, and import -> pip
CONDA = {"matplotlib-base": "matplotlib", "pytorch": "torch"}
IMPORTS = {"yaml": "pyyaml"}
UNPINNED = {"python", "pip"}  # the language and its installer, which the lock does not hold


def normal(name: str) -> str:
    """The name of a package as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(name: str = "requirements.lock") -> dict[str, str]:
    """The pins of a lock, `{pip name: version}`."""
    lines = (ROOT / name).read_text().splitlines()
    return {
        normal(package): version
        for package, version in (line.split("==") for line in lines if line and not line.startswith("#"))
    }


def pins(path: Path) -> dict[str, str]:
    """The pins of a conda environment, `{pip name: version}`.

    Raises:
        ValueError: for a package that is not pinned to one version.
    """
    found = {}
    for item in yaml.safe_load(path.read_text())["dependencies"]:
        for spec in item["pip"] if isinstance(item, dict) else [item]:
            match = re.fullmatch(r"([\w.-]+)(\s*==\s*([\w.]+)|\s*=\s*3\.\d+)?", spec)
            name, version = (match[1], match[3]) if match else (spec, None)
            if name in UNPINNED:
                continue
            if not version:
                raise ValueError(f"{path.name}: {spec} is not pinned to one version")
            found[normal(CONDA.get(name, name))] = version
    return found
