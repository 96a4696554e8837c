"""Input that cannot be used ends in one clear line: the file, what is wrong, what to do; nothing is half written."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from astropy.io import fits
from safetensors.torch import save_file

from skyscore import io

SIDE = 9


@pytest.fixture
def imaging():
    image = np.random.default_rng(0).normal(size=(SIDE, SIDE))
    psf = np.ones((3, 3)) / 9
    return {"image": image, "noise": np.ones_like(image), "psf": psf, "mask": np.zeros_like(image)}


NAMES = {"image": "image.fits", "noise": "noise.fits", "psf": "psf.fits", "mask": "mask.fits"}


def complaint(imaging) -> str:
    with pytest.raises(io.InputError) as error:
        io.check_imaging(**imaging, names=NAMES)
    message = str(error.value)
    assert "\n" not in message
    assert ";" in message  # what is wrong; what to do
    return message


def test_good_imaging_passes(imaging):
    io.check_imaging(**imaging)
    io.check_imaging(imaging["image"], imaging["noise"], imaging["psf"])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_not_a_number_in_an_unmasked_pixel(imaging, value):
    imaging["image"][2, 3] = value
    assert complaint(imaging).startswith("image.fits: 1 unmasked pixel")
    imaging["mask"][2, 3] = 1
    io.check_imaging(**imaging)


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan])
def test_noise_that_is_not_positive(imaging, value):
    imaging["noise"][4, 4] = value
    assert complaint(imaging).startswith("noise.fits: 1 unmasked pixel")
    imaging["mask"][4, 4] = 1
    io.check_imaging(**imaging)


@pytest.mark.parametrize("key", ["noise", "mask"])
def test_shapes_that_do_not_fit(imaging, key):
    imaging[key] = imaging[key][:-1]
    message = complaint(imaging)
    assert message.startswith(f"{key}.fits: shape (8, 9)")
    assert "image.fits (9, 9)" in message


@pytest.mark.parametrize("shape", [(4, 4), (3, 4), (11, 11), (3,), (1, 3, 3)])
def test_psf_that_does_not_fit(imaging, shape):
    imaging["psf"] = np.ones(shape)
    assert complaint(imaging).startswith("psf.fits: shape")


def test_psf_without_flux(imaging):
    imaging["psf"] = np.zeros((3, 3))
    assert complaint(imaging).startswith("psf.fits:")


def test_everything_masked(imaging):
    imaging["mask"][:] = 1
    assert complaint(imaging).startswith("mask.fits: all pixels are masked")


def unreadable(path, **options) -> str:
    with pytest.raises(io.InputError) as error:
        io.read_fits(path, **options)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_truncated_fits(tmp_path):
    path = tmp_path / "image.fits"
    fits.writeto(path, np.ones((64, 64)))
    whole = path.read_bytes()
    for keep in (0, 100, 2880, len(whole) // 2, len(whole) - 2880):
        path.write_bytes(whole[:keep])
        assert "cut short" in unreadable(path)


def test_not_fits(tmp_path):
    path = tmp_path / "image.fits"
    path.write_text("<html>404</html>")
    assert "not a readable FITS file" in unreadable(path)


def test_fits_of_another_shape(tmp_path):
    fits.writeto(tmp_path / "image.fits", np.ones((4, 5)))
    assert "shape (4, 5), but (5, 5) is expected" in unreadable(tmp_path / "image.fits", shape=(5, 5))


def test_fits_without_an_image(tmp_path):
    fits.PrimaryHDU().writeto(tmp_path / "image.fits")
    assert "no image" in unreadable(tmp_path / "image.fits")


def test_absent_fits(tmp_path):
    assert "no such file" in unreadable(tmp_path / "image.fits")


class Trap:
    """Unpickling this would be noticed."""

    def __reduce__(self):
        return (pytest.fail, ("the pickle was loaded",))


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_are_refused_and_never_loaded(tmp_path, protocol):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Trap(), protocol=protocol))
    with pytest.raises(io.InputError, match=r"weights\.safetensors: weights must be safetensors.*refused"):
        io.read_weights(path)


@pytest.mark.parametrize("new", [True, False])
def test_torch_files_are_refused(tmp_path, new):
    path = tmp_path / "weights.safetensors"
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=new)
    with pytest.raises(io.InputError, match="pickle"):
        io.read_weights(path)


def test_damaged_weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(100)}, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(io.InputError, match="not a readable safetensors file"):
        io.read_weights(path)
    with pytest.raises(io.InputError, match="no such file"):
        io.read_weights(tmp_path / "absent.safetensors")


def test_weights_come_back(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3)}
    io.write_weights(tmp_path / "w.safetensors", tensors, {"what": "test"})
    found, metadata = io.read_weights(tmp_path / "w.safetensors")
    assert torch.equal(found["a"], tensors["a"])
    assert metadata == {"what": "test"}
