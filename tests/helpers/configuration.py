"""The shipped configurations as Snakemake merges them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from .workflow import ROOT

__all__ = ["SHIPPED", "merged", "shipped"]

#: every configuration that comes with the repository, as the files that are laid over config/config.yaml
SHIPPED = {
    "config": [],
    **{name: [f"config/{name}.yaml"] for name in ("test", "real", "paper", "exact", "samplers")},
    "smoke_paper": ["config/paper.yaml", "config/smoke_paper.yaml"],
    **{name: [f"docs/examples/{name}.yaml"] for name in ("own", "second_seed")},
}


def merged(*paths: Path | str) -> dict[str, Any]:
    """Configuration files laid over each other, from the root of the repository; not checked."""
    config: dict[str, Any] = {}
    for path in paths:
        update_config(config, yaml.safe_load((ROOT / path).read_text(encoding="utf-8")))
    return config


def shipped(name: str = "config") -> dict[str, Any]:
    """A configuration of SHIPPED with the default one below; not checked."""
    return merged("config/config.yaml", *SHIPPED[name])
