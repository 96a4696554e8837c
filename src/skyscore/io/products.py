"""Files passed between jobs, one HDF5 file each: training sets, observations, samples, figure panels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from skyscore import provenance as origin
from skyscore.observation import Observation

from .files import InputError
from .hdf5 import member, open_hdf5, read_attrs, write_hdf5
from .records import as_array, plain

if TYPE_CHECKING:
    from skyscore.observation import ProblemLike, SamplesLike


def write_dataset(
    path: str | Path, source: Mapping | None = None, unit: str = "prior units", **splits: Any
) -> None:
    """Writes a training set: one data set (n, C, H, W) for each named split, such as `train` and `held_out`."""
    write_hdf5(path, splits, {"provenance": source or origin.provenance()}, units=dict.fromkeys(splits, unit))


def read_dataset(path: str | Path, split: str = "train", n: int | None = None) -> np.ndarray:
    """The images (n, C, H, W) of one split of a training set; only the first `n` if `n` is given."""
    with open_hdf5(path) as file:
        return member(file, split, n)


def write_observation(path: str | Path, observation: Observation, source: Mapping | None = None) -> None:
    """Writes an observation: its arrays, kind and attributes (`units` and `axes` in these describe the arrays)."""
    attrs = {
        "problem": observation.problem,
        "attrs": observation.attrs,
        "provenance": source or origin.provenance(),
    }
    units, axes = observation.attrs.get("units"), observation.attrs.get("axes")
    write_hdf5(
        path, observation.arrays, attrs, axes=axes, units=units if isinstance(units, Mapping) else None
    )


def read_observation(path: str | Path) -> Observation:
    """An observation as written by `write_observation`.

    Raises:
        InputError: for a file that is not an observation.
    """
    with open_hdf5(path) as file:
        attrs = read_attrs(file)
        if "problem" not in attrs:
            raise InputError(
                f"{path}: not an observation (no attribute 'problem'); delete it and run rule observe"
            )
        return Observation(attrs["problem"], {name: member(file, name) for name in file}, attrs["attrs"])


def read_provenance(path: str | Path) -> dict[str, Any]:
    """The provenance of a file written by this module."""
    with open_hdf5(path) as file:
        return read_attrs(file).get("provenance", {})


def write_samples(
    path: str | Path,
    samples: SamplesLike,
    problem: ProblemLike | None = None,
    source: Mapping | None = None,
    **attrs: Any,
) -> None:
    """Writes samples (n, C, H, W): `samples` in prior units and, if a problem is given, `physical` in its units.

    Attributes then describe a pixel: `pixel_scale` in `scale_unit`, `unit` of its value, and `wcs` (FITS cards) if the
    position on the sky is known. The scales `x` and `y` are offsets from the middle of the grid in `scale_unit`.
    """
    arrays, units = {"samples": as_array(samples.x)}, {"samples": "prior units"}
    scales = {}
    if problem is not None:
        arrays["physical"] = as_array(problem.to_physical(samples.x))
        about = pixels_of(problem)
        units |= {"physical": about["unit"], "x": about["scale_unit"], "y": about["scale_unit"]}
        for axis, n in zip("yx", arrays["samples"].shape[-2:], strict=True):
            scales[axis] = (np.arange(n) - (n - 1) / 2) * about["pixel_scale"]
        attrs = about | attrs
    made = {"nfe": samples.nfe, "nvjp": samples.nvjp, "diagnostics": summary(samples.diagnostics)}
    content = {**made, **attrs, "provenance": source or origin.provenance()}
    write_hdf5(path, arrays, content, units=units, scales=scales)


def pixels_of(problem: ProblemLike) -> dict[str, Any]:
    """Scale, unit and world coordinates of a pixel of the unknown image."""
    about = {
        "pixel_scale": float(problem.pixel_scale),
        "scale_unit": getattr(problem, "scale_unit", "arcsec"),
    }
    wcs = getattr(problem, "wcs", None)
    return about | {"unit": str(problem.unit)} | ({"wcs": dict(wcs)} if wcs else {})


def summary(diagnostics: Mapping[str, Any]) -> dict[str, Any]:
    """Diagnostics, without arrays too large for an attribute (HDF5 allows 64 kB)."""
    return {name: value for name, value in plain(diagnostics).items() if len(json.dumps(value)) < 20_000}


def read_samples(path: str | Path, name: str = "samples") -> tuple[np.ndarray, dict[str, Any]]:
    """The samples (n, C, H, W) and the file's attributes.

    Arguments:
        name: "samples" (prior units) or "physical" (observed units).
    """
    with open_hdf5(path) as file:
        return member(file, name), read_attrs(file)


def write_panels(path: str | Path, panels: Sequence[Any], source: Mapping | None = None) -> None:
    """Writes the panels of a figure: the image of each panel and its annotations."""
    arrays = {f"{index:02d}": panel.image for index, panel in enumerate(panels)}
    about = [{key: value for key, value in vars(panel).items() if key != "image"} for panel in panels]
    units = {name: str(item.get("unit", "1")) for name, item in zip(arrays, about, strict=True)}
    points = [name for name, item in zip(arrays, about, strict=True) if item.get("kind") == "points"]
    axes = dict.fromkeys(points, ("coordinate", "point"))
    attrs = {"panels": about, "provenance": source or origin.provenance()}
    write_hdf5(path, arrays, attrs, axes=axes, units=units)


def read_panels(path: str | Path) -> list[SimpleNamespace]:
    """The panels of a figure, with the attributes of `skyscore.observation.Panel`."""
    with open_hdf5(path) as file:
        about = read_attrs(file)["panels"]
        return [
            SimpleNamespace(image=member(file, f"{index:02d}"), **item) for index, item in enumerate(about)
        ]
