"""The sizes of the shipped configurations: images, training, samples and simulations of each, as tables."""

from __future__ import annotations

from pathlib import Path

import yaml
from snakemake.utils import update_config

from skyscore.config.settings import check_config, is_real

__all__ = ["OVERLAYS", "overlaid", "sizes"]

CONFIG = Path(__file__).resolve().parents[2] / "config"
OVERLAYS = ("config", "test", "real", "paper")


def overlaid(name: str) -> dict:
    """The whole configuration under config/<name>.yaml, with every default filled in."""
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    update_config(config, yaml.safe_load((CONFIG / f"{name}.yaml").read_text()))
    return check_config(config, f"config/{name}.yaml")


def table(header: str, lines: list[str]) -> list[str]:
    return ["", header, "|".join(["", *[" --- "] * (header.count("|") - 1), ""]), *lines]


def priors(config: dict, problems: dict, real: bool) -> list[str]:
    """A row for each prior that the problems use."""
    used = {p[key] for p in problems.values() for key in ("prior", "noise")}
    used = (used if real else used | {config["slic"]["prior"]}) - {None}
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
    return table(
        "| prior | kind of images | pixels | images | channels | steps x batch | draws tested |", lines
    )


def sizes() -> str:
    """Tables of images, training, samples and simulations of each configuration."""
    parts = []
    for name in OVERLAYS:
        config = overlaid(name)
        real = config["target"] == "real"
        problems = {k: p for k, p in config["problems"].items() if is_real(p) == real}
        parts += ["", f"## `config/{name}.yaml`", *priors(config, problems, real)]
        lines = []
        for key, p in problems.items():
            methods = ", ".join(f"`{sampler}`" for sampler in p["samplers"])
            lines.append(f"| `{key}` | {p['kind']} | `{p['prior']}` | {methods} | {p['n_samples']} |")
        parts += table("| problem | kind | prior | samplers | samples of each |", lines)
        v = config["validation"]
        if not real:
            parts += [
                "",
                f"Certificates: {v['simulations']} truths drawn from the prior and {v['held_out']} held-out truths, "
                f"{v['samples']} posterior samples of each.",
            ]
    return "\n".join(parts).strip()
