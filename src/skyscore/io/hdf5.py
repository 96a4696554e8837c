"""HDF5 files: arrays with named axes and a unit, attributes as JSON texts; a damaged file is an `InputError`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .files import InputError, existing, reading, write_bytes
from .records import as_array, plain

SAMPLE_AXES = ("n", "channel", "y", "x")
LARGEST = 2**36  # bytes of one data set: a shape that claims more is no file of ours
IMAGE_AXES = {1: ("x",), 2: ("y", "x"), 3: ("channel", "y", "x"), 4: SAMPLE_AXES}


def write_hdf5(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    attrs: Mapping[str, Any],
    axes: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    scales: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write arrays with named axes and units, and JSON-able attributes (one JSON text each), atomically.

    Arguments:
        axes: names of the axes of each array; of images they are known.
        scales: coordinates along axes by their name, attached as dimension scales wherever the length is the same;
            `units` names theirs too.

    The file is made in memory: the library ends the process (segmentation fault) when a disk is full.
    """
    import h5py

    versions = ("v108", "latest")  # attributes beyond 64 kB
    with h5py.File(str(path), "w", driver="core", backing_store=False, libver=versions) as file:
        for name, array in arrays.items():
            array = as_array(array)
            data = file.create_dataset(name, data=array, **compression(array))
            data.attrs["units"] = (units or {}).get(name, "1")
            labels = (axes or {}).get(name) or IMAGE_AXES.get(array.ndim, ())
            for axis, label in zip(data.dims, labels, strict=False):
                axis.label = label
        for name, values in (scales or {}).items():
            data = file.create_dataset(name, data=as_array(values))
            data.attrs["units"] = (units or {}).get(name, "1")
            data.make_scale(name)
            for array in arrays:
                for axis, length in zip(file[array].dims, file[array].shape, strict=True):
                    if axis.label == name and length == len(data):
                        axis.attach_scale(data)
        for name, value in attrs.items():
            file.attrs[name] = json.dumps(plain(value))
        file.flush()
        image = file.id.get_file_image()
    write_bytes(path, image)


def compression(array: np.ndarray) -> dict[str, Any]:
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.size > 4096 else {}


@contextlib.contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    import h5py

    with reading(path, "HDF5 file, perhaps cut short", "delete it and run again"):
        with h5py.File(existing(path), "r") as file:
            yield file


def read_attrs(file: Any) -> dict[str, Any]:
    return {name: json.loads(value) for name, value in file.attrs.items()}


def member(file: Any, name: str, n: int | None = None) -> np.ndarray:
    """One data set of an open file, or its first `n` entries."""
    if name not in file:
        held = ", ".join(file) or "nothing"
        raise InputError(
            f"{file.filename}: holds no data set {name!r} (it holds {held}); delete it and run again"
        )
    if file[name].nbytes > LARGEST:
        raise InputError(
            f"{file.filename}: {name!r} claims {file[name].nbytes:.1e} bytes; delete the file and run again"
        )
    return file[name][:n] if n is not None else file[name][()]
