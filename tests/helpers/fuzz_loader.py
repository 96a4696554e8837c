"""Feeds mutated files to one loader, in a process of its own: memory bounded, a clock on each read.

    python tests/helpers/fuzz_loader.py LOADER EXAMPLES

Prints one JSON line: how many inputs were read, how many refused; ends with an error at the first that did neither.
Run by test_fuzz.py; a crash of a C library is then a failed test and not the end of the suite.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import sys
import tempfile
from pathlib import Path

import h5py
import hypothesis.strategies as st
import numpy as np
import torch
import yaml
from astropy.io import fits
from hypothesis import HealthCheck, given, settings

from skyscore import checksums, io
from skyscore.config.datasets import read_table
from skyscore.config.settings import SettingsError, check_config
from skyscore.observation import Observation
from skyscore.priors import load_prior
from skyscore.problems.lens.files import read_imaging
from skyscore.problems.radio.observed import read_profile, read_visibilities

MEMORY = 6 * 2**30  # bytes of address space, torch's own included
CLOCK = 20  # seconds for one read


def observation(path):
    rng = np.random.default_rng(0)
    arrays = {"image": rng.normal(size=(1, 9, 9)), "std": np.ones((1, 9, 9))}
    io.write_observation(path, Observation("lens", arrays, {"units": {"image": "Jy"}, "pixels": 9}))


def dataset(path):
    io.write_dataset(path, train=np.random.default_rng(0).normal(size=(80, 1, 8, 8)).astype(np.float32))


def image(path):
    fits.PrimaryHDU(np.random.default_rng(0).normal(size=(12, 12)).astype(">f4")).writeto(
        path, overwrite=True
    )


def cut_out(path):
    """A lens as HDF5, its point-spread function in the same file."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["image_data"] = rng.normal(size=(20, 20)).astype(np.float32)
        file["exposure_time"] = np.full((20, 20), 1000, dtype=">f4")
        file["background_rms"], file["transform_pix2angle"] = 0.1, 0.05 * np.eye(2)
        file["kernel_point_source"] = np.full((5, 5), 0.04)


def visibilities(path):
    rng = np.random.default_rng(0)
    V = rng.normal(size=40) + 1j * rng.normal(size=40)
    np.savez_compressed(path, u=rng.normal(size=40), v=rng.normal(size=40), V=V, weights=np.ones(40))


def profile(path):
    np.savetxt(path, np.random.default_rng(0).random((30, 2)).cumsum(0))


def uvfits(path):
    """Four groups of two parallel hands."""
    data = np.ones((4, 1, 1, 1, 1, 2, 3), dtype=np.float32)
    names, values = ["UU", "VV", "BASELINE", "DATE"], [np.ones(4), np.ones(4), np.full(4, 258.0), np.ones(4)]
    hdu = fits.GroupsHDU(fits.GroupData(data, bitpix=-32, parnames=names, pardata=values))
    for k, (name, value) in {2: ("COMPLEX", 1), 3: ("STOKES", -1), 4: ("FREQ", 2e11)}.items():
        hdu.header.update({f"CTYPE{k}": name, f"CRVAL{k}": value, f"CDELT{k}": -1, f"CRPIX{k}": 1})
    hdu.writeto(path, overwrite=True)


def table(path):
    """The table of data sets as the workflow reads it."""
    path.write_bytes((Path(__file__).parents[2] / "config" / "datasets.tsv").read_bytes())


def check_tsv(path):
    """As the workflow does."""
    try:
        return read_table(path, str(path))
    except SettingsError as error:
        raise io.InputError(f"{path}: {' '.join(str(error).split())}") from error


def weights(path):
    from skyscore.diffusion.network import Denoiser
    from skyscore.priors import NeuralPrior

    network = {"patch": 2, "channels": [8], "blocks": 1, "attention": 0}
    NeuralPrior(Denoiser(8, 0.5, network), {"settings": "{}"}).save(path)


def check_yaml(path):
    """As the workflow does: the file's text, safe_load, the schema."""
    try:
        return check_config(yaml.safe_load(path.read_text(encoding="utf-8", errors="strict")), str(path))
    except (yaml.YAMLError, UnicodeDecodeError, SettingsError) as error:
        raise io.InputError(f"{path}: {' '.join(str(error).split())}") from error


# loader: name of the file, what makes a good one, what reads it
LOADERS = {
    "fits": ("a.fits", image, io.read_fits),
    "cut_out": ("a.h5", cut_out, lambda path: read_imaging({"image": str(path), "psf": str(path)}, 0.05)),
    "map": ("a.npy", lambda path: np.save(path, np.ones((8, 8))), io.read_map),
    "visibilities": ("a.npz", visibilities, read_visibilities),
    "uvfits": ("a.uvfits", uvfits, read_visibilities),
    "profile": (
        "a.txt",
        lambda path: np.savetxt(path, np.random.default_rng(0).random((30, 2)).cumsum(0)),
        read_profile,
    ),
    "table": ("a.tsv", table, check_tsv),
    "weights": ("a.safetensors", weights, load_prior),
    "dataset": ("a.h5", dataset, io.read_dataset),
    "part": ("a.h5", dataset, lambda path: io.read_dataset(path, n=10)),
    "observation": ("a.h5", observation, io.read_observation),
    "json": ("a.json", lambda path: io.write_numbers(path, {"a/b": 1.5, "c": 2}), io.read_json),
    "config": (
        "a.yaml",
        lambda path: path.write_bytes((Path(__file__).parents[2] / "config" / "config.yaml").read_bytes()),
        check_yaml,
    ),
}


def mutate(content: bytes, changes) -> bytes:
    """Bytes flipped, removed, inserted, repeated, zeroed; numbers made huge; the file cut short."""
    for what, where, size, noise in changes:
        at = int(where * max(len(content) - 1, 0))
        if what == "flip":
            content = (
                content[:at] + bytes([content[at] ^ (1 + size % 255)]) + content[at + 1 :] if content else b""
            )
        elif what == "cut":
            content = content[:at]
        elif what == "drop":
            content = content[:at] + content[at + size :]
        elif what == "insert":
            content = content[:at] + noise + content[at:]
        elif what == "repeat":
            content = content[:at] + content[at : at + size] * 3 + content[at + size :]
        elif what == "zero":
            content = content[:at] + bytes(min(size, len(content) - at)) + content[at + size :]
        elif what == "huge":  # the first number after a place
            content = content[:at] + re.sub(rb"\d+", b"9" * (1 + size % 18), content[at:], count=1)
    return content


CHANGE = st.tuples(
    st.sampled_from(["flip", "cut", "drop", "insert", "repeat", "zero", "huge"]),
    st.floats(0, 1),
    st.integers(1, 64),
    st.binary(min_size=1, max_size=16),
)


def too_long(*_):
    raise TimeoutError(f"a read took more than {CLOCK} s")


def main(loader: str, examples: int) -> dict[str, int]:
    name, make, read = LOADERS[loader]
    found = {"read": 0, "refused": 0}
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, too_long)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        path = Path(folder) / name
        make(path)
        good = path.read_bytes()
        read(path)  # the unchanged file is a good one
        checksums.forget(path)  # its checksum would find every mutation, and leave none to the reader

        @settings(
            max_examples=examples, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.lists(CHANGE, min_size=1, max_size=5))
        def one(changes):
            path.write_bytes(mutate(good, changes))
            signal.alarm(CLOCK)
            try:
                read(path)
                found["read"] += 1
            except io.InputError as error:
                found["refused"] += 1
                message = str(error)
                assert name in message and "\n" not in message and len(message) < 2000, message
            finally:
                signal.alarm(0)
            assert os.listdir(folder) == [name], os.listdir(folder)

        one()
    return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
