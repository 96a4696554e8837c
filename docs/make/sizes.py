"""What the shipped configurations amount to: the sizes of each, as tables of config/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from skyscore.config.settings import check_config, is_real

__all__ = ["OVERLAYS", "overlaid", "sizes"]

CONFIG = Path(__file__).resolve().parents[2] / "config"
OVERLAYS = ("config", "test", "real", "paper")


def merged(below: Mapping, above: Mapping) -> dict:
    """`below` with the keys of `above` in place of its own, level by level, as Snakemake does it."""
    both = dict(below)
    for key, value in above.items():
        nested = isinstance(value, Mapping) and isinstance(both.get(key), Mapping)
        both[key] = merged(both[key], value) if nested else value
    return both


def overlaid(name: str) -> dict:
    """The whole configuration under config/<name>.yaml."""
    base, overlay = (yaml.safe_load((CONFIG / f"{file}.yaml").read_text()) for file in ("config", name))
    return check_config(merged(base, overlay), f"config/{name}.yaml")


def rows(header: str, lines: list[str]) -> list[str]:
    return ["", header, "|".join(["", *[" --- "] * (header.count("|") - 1), ""]), *lines]


def sizes() -> str:
    """Tables of images, training, samples and simulations of each configuration."""
    parts = ["", "## What each configuration amounts to"]
    for name in OVERLAYS:
        config = overlaid(name)
        real = config["target"] == "real"
        problems = {k: p for k, p in config["problems"].items() if is_real(p) == real}
        used = {p[key] for p in problems.values() for key in ("prior", "noise")}
        used = (used if real else used | {config["slic"]["prior"]}) - {None}
        parts += ["", f"### `config/{name}.yaml`"]
        lines = []
        for key in sorted(used):
            prior = config["priors"][key]
            data, fit = config["datasets"][prior["dataset"]], prior["training"]
            without = {"gaussian": "moments", "field": "spectrum"}.get(prior["kind"])  # a network
            learned = without or f"{fit['steps']:,} x {fit['batch']}"
            network = "-" if without else "-".join(map(str, prior["network"]["channels"]))
            lines.append(
                f"| `{key}` | {data['kind']} | {data['pixels']} | {data['train']:,} | {network} | {learned} "
                f"| {prior['sampling']['n']:,} |"
            )
        parts += rows(
            "| prior | kind of images | pixels | images | channels | steps x batch | draws tested |", lines
        )
        lines = []
        for key, p in problems.items():
            methods = ", ".join(f"`{sampler}`" for sampler in p["samplers"])
            lines.append(f"| `{key}` | {p['kind']} | `{p['prior']}` | {methods} | {p['n_samples']} |")
        parts += rows("| problem | kind | prior | samplers | samples of each |", lines)
        v = config["validation"]
        if not real:
            parts += [
                "",
                f"Certificates: {v['simulations']} truths from the prior and {v['held_out']} held out, {v['samples']} "
                "samples of each.",
            ]
    return "\n".join(parts) + "\n"
