"""Files: what is written comes back, is whole or absent, and says where it came from."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS

from skyscore import checksums, io
from skyscore.provenance import provenance

N, SIDE = 5, 8
SRC = str(Path(io.__file__).resolve().parents[2])


class FakeProblem:
    """What io needs of a problem: a scale, a unit, a pixel size."""

    unit, pixel_scale, wcs = "electron / s", 0.05, None

    def to_physical(self, x):
        return 3.0 * x + 1.0


@pytest.fixture
def samples():
    x = torch.randn(N, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return SimpleNamespace(x=x, nfe=100.0, nvjp=20.0, diagnostics={"ess": 3.5, "all": torch.ones(3)})


# ---------------------------------------------------------------------------- atomic writing


def test_atomic_leaves_nothing_after_a_failure(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), io.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_keeps_the_suffix_and_makes_the_folder(tmp_path):
    with io.atomic(tmp_path / "new" / "figure.png") as temporary:
        assert temporary.suffix == ".png"
        temporary.write_bytes(b"x")
    assert (tmp_path / "new" / "figure.png").exists()


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    kill = "import os, signal, sys; from skyscore import io\n"
    kill += "with io.atomic(sys.argv[1]) as f: f.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", kill, tmp_path / "a.b.txt"], env={**os.environ, "PYTHONPATH": SRC})
    (left,) = tmp_path.iterdir()
    assert re.fullmatch(r"\.a\.b\.\d+\.part\.txt", left.name)
    mine = tmp_path / f".a.b.{os.getpid()}.part.txt"  # that of a living writer stays
    mine.touch()
    io.write_text(tmp_path / "a.txt", "another file")
    assert left.exists()
    with io.atomic(tmp_path / "a.b.txt") as temporary:
        assert not left.exists() and mine.exists()
        temporary.write_text("whole")
    assert (tmp_path / "a.b.txt").read_text() == "whole"


@pytest.mark.parametrize("write", ["text", "hdf5", "fits", "weights", "figure"])
def test_a_disk_that_takes_no_more_is_one_line(tmp_path, samples, write):
    """The limit of the size of a file, in a process of its own: writing fails as on a full disk."""
    path = tmp_path / "results" / "a.h5"
    pid = os.fork()
    if pid == 0:  # the child must not return into pytest
        code = 3
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
            x = np.random.default_rng(0).normal(size=(100, 1, 16, 16))
            about = SimpleNamespace(x=torch.as_tensor(x), nfe=1.0, nvjp=0.0, diagnostics={})
            writers = {
                "text": lambda: io.write_text(path, "x" * 10_000),
                "hdf5": lambda: io.write_dataset(path, train=x),
                "fits": lambda: io.write_fits(path, about, FakeProblem()),
                "weights": lambda: io.write_weights(path, {"a": torch.as_tensor(x)}, {}),
                "figure": lambda: io.write_figure([path.with_suffix(".png")], drawing()),
            }
            writers[write]()
        except io.InputError as error:
            wanted = rf"{path.with_suffix('')}\.(h5|png): cannot be written \(File too large\); make room .*"
            code = 0 if re.fullmatch(wanted, str(error)) else 4
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert list(path.parent.iterdir()) == []


def drawing():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().imshow(np.random.default_rng(0).normal(size=(50, 50)))
    return figure


# ---------------------------------------------------------------------------- damage

READERS = {
    "a.json": (lambda path: io.write_json(path, list(range(2000))), io.read_json),
    "a.h5": (lambda path: io.write_dataset(path, train=noise()), io.read_dataset),
    "a.fits": (
        lambda path: io.write_fits(path, SimpleNamespace(x=torch.as_tensor(noise()), nfe=1.0), FakeProblem()),
        io.read_fits,
    ),
    "a.safetensors": (
        lambda path: io.write_weights(path, {"a": torch.as_tensor(noise())}, {}),
        io.read_weights,
    ),
}


def noise():
    return np.random.default_rng(0).normal(size=(50, 1, 8, 8)).astype(np.float32)


def damaged(content: bytes, manner: str) -> bytes:
    at = len(content) // 2
    if manner == "half":
        return content[:at]
    if manner == "zeros":  # what a power cut leaves of a file that was not flushed
        return content[:at] + bytes(len(content) - at)
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("manner", ["half", "zeros", "bit"])
@pytest.mark.parametrize("name", READERS)
def test_damage_is_named_and_not_read(tmp_path, name, manner):
    path, (write, read) = tmp_path / name, READERS[name]
    write(path)
    read(path)
    path.write_bytes(damaged(path.read_bytes(), manner))
    with pytest.raises(
        io.InputError, match=rf"{re.escape(name)}: damaged \(SHA-256 .*\); delete it and run"
    ) as error:
        read(path)
    assert "\n" not in str(error.value)
    write(path)
    read(path)


def test_sums_are_those_of_sha256sum(tmp_path):
    io.write_text(tmp_path / "a.txt", "text\n")
    check = ["sha256sum", "--check", "--strict", ".a.txt.sha256"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0
    checksums.move(tmp_path / "a.txt", tmp_path / "b.txt")
    assert checksums.damage(tmp_path / "b.txt") is None and not checksums.beside(tmp_path / "a.txt").exists()
    check[-1] = ".b.txt.sha256"
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0


def test_times_are_trusted_where_that_is_asked_for(tmp_path):
    io.write_text(path := tmp_path / "a.txt", "text")
    times = path.stat().st_mtime_ns
    path.write_text("torn")
    assert list(checksums.damaged_in(tmp_path, thorough=False)) == [(path, checksums.damage(path))]
    os.utime(path, ns=(times, times))
    assert checksums.damage(path, thorough=False) is None
    assert list(checksums.damaged_in(tmp_path, thorough=True)) == [(path, checksums.damage(path))]
    path.write_text("text")  # the same again: the file is good, and its new time is known from now on
    assert checksums.damage(path, thorough=False) is None
    assert checksums.beside(path).stat().st_mtime_ns == path.stat().st_mtime_ns


# ---------------------------------------------------------------------------- JSON


def test_json_takes_what_numpy_and_torch_give(tmp_path):
    io.write_json(
        tmp_path / "a.json", {"a": np.float32(1.5), "b": torch.arange(2), "c": float("nan"), "d": (1, None)}
    )
    assert io.read_json(tmp_path / "a.json") == {"a": 1.5, "b": [0, 1], "c": None, "d": [1, None]}


def test_numbers_are_numbers(tmp_path):
    io.write_numbers(tmp_path / "n.json", {"a/b": np.float64(2), "c": 3})
    content = io.read_json(tmp_path / "n.json")
    assert content["numbers"] == {"a/b": 2.0, "c": 3}
    assert "git_revision" in content["provenance"]
    for bad in (float("nan"), float("inf"), "text", True, [1.0]):
        with pytest.raises(io.InputError, match="not a finite number"):
            io.write_numbers(tmp_path / "bad.json", {"a": bad})
    assert not (tmp_path / "bad.json").exists()


# ---------------------------------------------------------------------------- HDF5


def test_dataset_has_axes_units_and_provenance(tmp_path):
    images = np.random.default_rng(0).normal(size=(N, 1, SIDE, SIDE)).astype(np.float32)
    io.write_dataset(tmp_path / "d.h5", train=images, held_out=images[:2])
    assert np.array_equal(io.read_dataset(tmp_path / "d.h5", "train"), images)
    assert len(io.read_dataset(tmp_path / "d.h5", "train", n=3)) == 3
    with h5py.File(tmp_path / "d.h5") as file:
        assert [axis.label for axis in file["train"].dims] == ["n", "channel", "y", "x"]
        assert file["train"].attrs["units"] == "prior units"
        source = json.loads(file.attrs["provenance"])
    assert {"git_revision", "git_dirty", "config_hash", "seed", "versions", "wall_time_s"} <= source.keys()


def test_samples_in_both_units(tmp_path, samples):
    io.write_samples(tmp_path / "p.h5", samples, FakeProblem(), sampler="mmps")
    x, attrs = io.read_samples(tmp_path / "p.h5")
    physical, _ = io.read_samples(tmp_path / "p.h5", "physical")
    assert np.array_equal(x, samples.x.numpy())
    assert np.allclose(physical, 3 * x + 1)
    assert (attrs["nfe"], attrs["nvjp"], attrs["sampler"]) == (100.0, 20.0, "mmps")
    assert attrs["diagnostics"] == {"ess": 3.5, "all": [1.0, 1.0, 1.0]}
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["physical"].attrs["units"] == "electron / s"


def test_long_attributes(tmp_path):
    """Settings and diagnostics may be longer than the 64 kB of an old-style attribute."""
    source = {"settings": list(range(30_000))}
    io.write_dataset(tmp_path / "d.h5", source, train=np.zeros((1, 1, 4, 4)))
    with h5py.File(tmp_path / "d.h5") as file:
        assert json.loads(file.attrs["provenance"]) == source


@pytest.mark.parametrize("content", [b"", b"not HDF5", None])
def test_unreadable_hdf5(tmp_path, content):
    path = tmp_path / "d.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(io.InputError, match=r"d\.h5"):
        io.read_dataset(path)


def test_truncated_hdf5(tmp_path):
    path = tmp_path / "d.h5"
    io.write_dataset(path, train=np.random.default_rng(0).normal(size=(50, 1, 16, 16)))
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(io.InputError, match=r"d\.h5"):
        io.read_dataset(path)


def test_missing_split_is_named(tmp_path):
    io.write_dataset(tmp_path / "d.h5", train=np.zeros((2, 1, 4, 4)))
    with pytest.raises(io.InputError, match=r"held_out.*train"):
        io.read_dataset(tmp_path / "d.h5", "held_out")


# ---------------------------------------------------------------------------- FITS


def test_posterior_fits(tmp_path, samples):
    path = tmp_path / "posterior.fits"
    io.write_fits(path, samples, FakeProblem(), provenance({"a": 1}, seed=7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True) as file:
            file.verify("exception")
            assert [hdu.name for hdu in file] == ["MEAN", "STD", "SAMPLES"]
            physical = 3 * samples.x[:, 0].double().numpy() + 1
            assert np.allclose(file["MEAN"].data, physical.mean(0), atol=1e-5)
            assert np.allclose(file["STD"].data, physical.std(0, ddof=1), atol=1e-5)
            assert file["SAMPLES"].data.shape == (N, SIDE, SIDE)
            for hdu in file:
                assert units.Unit(hdu.header["BUNIT"]) == units.electron / units.s
                assert hdu.header["SEED"] == 7
                assert hdu.header["GITREV"]
                wcs = WCS(hdu.header, naxis=2)
                centre = wcs.wcs_pix2world([[(SIDE - 1) / 2] * 2, [(SIDE - 1) / 2 + 1, (SIDE - 1) / 2]], 0)
                assert np.allclose(centre, [[0, 0], [0.05, 0]])  # +column = +x


def test_fits_of_several_channels(tmp_path, samples):
    samples.x = samples.x.repeat(1, 2, 1, 1)
    io.write_fits(tmp_path / "p.fits", samples, FakeProblem())
    with fits.open(tmp_path / "p.fits") as file:
        assert file["MEAN"].data.shape == (2, SIDE, SIDE)
        assert file["SAMPLES"].data.shape == (N, 2, SIDE, SIDE)


def test_read_fits(tmp_path):
    path = tmp_path / "image.fits"
    image = np.arange(12.0).reshape(3, 4).astype(">f4")
    fits.writeto(path, image)
    data = io.read_fits(path, shape=(3, 4))
    assert data.dtype == np.float64
    assert data.dtype.isnative
    assert np.array_equal(data, image)
