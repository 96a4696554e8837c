"""HDF5 files: arrays with named axes and a unit, attributes as JSON text. A damaged file raises `InputError`."""

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
LARGEST = 2**36  # bytes of one data set: a file that claims more was not written by this project
IMAGE_AXES = {1: ("x",), 2: ("y", "x"), 3: ("channel", "y", "x"), 4: SAMPLE_AXES}


def write_hdf5(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    attrs: Mapping[str, Any],
    axes: Mapping[str, Sequence[str]] | None = None,
    units: Mapping[str, str] | None = None,
    scales: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes arrays with named axes and units, and attributes as one JSON text each, atomically.

    The file is built in memory, because the HDF5 library ends the process (segmentation fault) when a disk is full.

    Arguments:
        axes: axis names of each array; those of images are known.
        units: unit of each array and of each scale.
        scales: coordinates along axes, by axis name; attached as dimension scales to every axis of that name and
            length.
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
            for other in arrays:
                for axis, length in zip(file[other].dims, file[other].shape, strict=True):
                    if axis.label == name and length == len(data):
                        axis.attach_scale(data)
        for name, value in attrs.items():
            file.attrs[name] = json.dumps(plain(value))
        file.flush()
        image = file.id.get_file_image()
    write_bytes(path, image)


def compression(array: np.ndarray) -> dict[str, Any]:
    """HDF5 options: gzip for arrays of more than 4096 values."""
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True} if array.size > 4096 else {}


@contextlib.contextmanager
def open_hdf5(path: str | Path) -> Iterator[Any]:
    """Opens an HDF5 file for reading.

    Raises:
        InputError: if the file is absent, damaged or not HDF5.
    """
    import h5py

    with reading(path, "HDF5 file, perhaps cut short", "delete it and run again"):
        with h5py.File(existing(path), "r") as file:
            yield file


def read_attrs(file: Any) -> dict[str, Any]:
    """Attributes of an open file, decoded from JSON."""
    return {name: json.loads(value) for name, value in file.attrs.items()}


def member(file: Any, name: str, n: int | None = None) -> np.ndarray:
    """One data set of an open file, or its first `n` entries.

    Raises:
        InputError: if it is absent, or claims an impossible size.
    """
    if name not in file:
        held = ", ".join(file) or "nothing"
        raise InputError(
            f"{file.filename}: holds no data set {name!r} (it holds {held}); delete the file and run again"
        )
    if file[name].nbytes > LARGEST:
        raise InputError(
            f"{file.filename}: {name!r} claims {file[name].nbytes:.1e} bytes; delete the file and run again"
        )
    return file[name][:n] if n is not None else file[name][()]
