"""The validation ensemble: simulations with their truths, and the posterior samples of each simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from skyscore import provenance as origin

from .files import InputError
from .hdf5 import member, open_hdf5, read_attrs, write_hdf5

IMAGES = ("simulation", "channel", "y", "x")


def write_simulations(
    path: str | Path,
    truths: Any,
    data: Any,
    estimates: Any,
    drawn: int,
    unit: str,
    source: Mapping | None = None,
) -> None:
    """Writes the simulations of an ensemble.

    Arguments:
        truths: (N, C, H, W) in prior units; the first `drawn` are draws of the prior, the others held-out images.
        data: (N, M) in `unit`.
        estimates: (N, C, H, W) in prior units, made from the data alone.
    """
    arrays = {"truths": truths, "data": data, "estimates": estimates}
    axes = {"truths": IMAGES, "data": ("simulation", "datum"), "estimates": IMAGES}
    units = {"truths": "prior units", "data": unit, "estimates": "prior units"}
    attrs = {"drawn": drawn, "provenance": source or origin.provenance()}
    write_hdf5(path, arrays, attrs, axes=axes, units=units)


def read_simulations(path: str | Path) -> SimpleNamespace:
    """Simulations as written by `write_simulations`: truths, data, estimates, drawn."""
    with open_hdf5(path) as file:
        arrays = {name: member(file, name) for name in ("truths", "data", "estimates")}
        return SimpleNamespace(**arrays, drawn=read_attrs(file)["drawn"])


def write_ensemble(
    path: str | Path,
    samples: Any,
    ancestors: Any = None,
    source: Mapping | None = None,
    *,
    first: int = 0,
    **attrs: Any,
) -> None:
    """Writes posterior samples of N simulations.

    Arguments:
        samples: (N, S, C, H, W) in prior units.
        ancestors: label (N, S) of each sample's ancestor, for samplers that resample a population.
        first: number of the first simulation.
    """
    arrays = {"samples": samples} | ({} if ancestors is None else {"ancestors": ancestors})
    axes = {"samples": ("simulation", "sample", *IMAGES[1:]), "ancestors": ("simulation", "sample")}
    attrs = {**attrs, "first": first, "provenance": source or origin.provenance()}
    write_hdf5(path, arrays, attrs, axes=axes, units={"samples": "prior units"})


def read_ensemble(
    paths: str | Path | Sequence[str | Path],
) -> tuple[np.ndarray, np.ndarray | None, dict[str, Any]]:
    """Samples (N, S, C, H, W), ancestor labels (N, S) or None, and attributes of an ensemble, from one file or its
    parts.

    `nfe` and `nvjp` are means over simulations. `seconds` is the total time of all parts (files without a time count
    0). Other attributes are those of the first part.

    Raises:
        InputError: if the parts do not follow one another.
    """
    samples: list[np.ndarray] = []
    ancestors: list[np.ndarray] = []
    attrs, count = [], 0
    for path in [paths] if isinstance(paths, str | Path) else paths:
        with open_hdf5(path) as file:
            about = read_attrs(file)
            if about.get("first", 0) != count:
                raise InputError(
                    f"{path}: begins at simulation {about['first']}, but {count} is expected; delete it and run again"
                )
            samples.append(member(file, "samples"))
            ancestors += [member(file, "ancestors")] if "ancestors" in file else []
        attrs.append(about)
        count += len(samples[-1])
    labels = np.concatenate(ancestors) if len(ancestors) == len(samples) else None
    share = [len(part) / count for part in samples]
    for key in ("nfe", "nvjp"):
        if key in attrs[0]:
            attrs[0][key] = float(np.dot(share, [about[key] for about in attrs]))
    times = [about.get("provenance", {}).get("wall_time_s") or 0.0 for about in attrs]
    return np.concatenate(samples), labels, attrs[0] | {"seconds": float(sum(times))}
