"""Own files that cannot be used, and blocks that name wrong ones: each is refused in one line with a remedy."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from skyscore import io
from skyscore.config import settings
from skyscore.problems import PROBLEMS
from skyscore.statistics.moments import moments_of
from tests.helpers import observer
from tests.helpers.own import PIXELS, configuration, images, inputs


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    observer.everything(folder, PIXELS)
    return folder


def spoilt(mine: Path, folder: Path, name: str, change=lambda data: data, **cards) -> Path:
    """All files, one FITS image of them changed: its data, and cards of its header (None takes one out)."""
    for path in mine.iterdir():
        shutil.copy(path, folder / path.name)
    with fits.open(mine / name) as file:
        hdu = next(one for one in file if one.header["NAXIS"])
        data, header = change(hdu.data.copy()), hdu.header.copy()
    for key, value in cards.items():
        header.remove(key) if value is None else header.set(key, value)
    observer.save(folder / name, data, header)
    return folder


def refused(block: str, folder: Path, file: str, message: str, **changed) -> None:
    """The problem is refused in one line that names the file and a remedy."""
    own, files = inputs(block, folder, **changed)
    given = {key: value for key, value in own.items() if key not in ("kind", "data")}
    with pytest.raises(io.InputError, match=message) as error:
        PROBLEMS[own["kind"]].from_data(given, files, moments_of(images(own)))
    text = str(error.value)
    assert file in text and ";" in text and "\n" not in text


def with_nan(data: np.ndarray) -> np.ndarray:
    data[tuple(n // 2 for n in data.shape)] = np.nan
    return data


@pytest.mark.parametrize(
    ("file", "change", "cards", "message"),
    [
        ("lens.fits", with_nan, {}, "1 unmasked pixel"),
        ("lens_noise.fits", lambda d: d[1:], {}, r"shape \(84, 85\), but \(85, 85\) is expected"),
        ("lens_noise.fits", lambda d: d, {"BUNIT": "count"}, "unit is count, but the image .*electron/s"),
        (
            "lens.fits",
            lambda d: d,
            {"CDELT1": -1.0e-5, "CDELT2": 1.0e-5},
            "0.0360 arcsec, but pixel_scale is 0.1",
        ),
        ("lens_psf.fits", lambda d: d[:-1], {}, "two odd sides"),
    ],
)
def test_a_lens_that_cannot_be_used(mine, tmp_path, file, change, cards, message):
    refused("mylens", spoilt(mine, tmp_path, file, change, **cards), file, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["Dec"].__setattr__("unit", "rad"), "the unit of column 'dec' is rad; give degrees"),
        (lambda t: t["g1"].__setitem__(7, np.nan), "some values of e1 are not finite"),
        (
            lambda t: t.rename_column("g2", "gamma2"),
            r"no column 'g2' \(columns are ra, dec, g1, gamma2, weight\)",
        ),
        (lambda t: t["g2"].__imul__(100), "ellipticities beyond 5"),
    ],
)
def test_a_catalogue_that_cannot_be_used(mine, tmp_path, change, message):
    from astropy.table import Table

    table = Table.read(mine / "shapes.fits")
    change(table)
    table.write(tmp_path / "shapes.fits")
    refused("myshapes", tmp_path, "shapes.fits", message)


@pytest.mark.parametrize(
    ("file", "change", "cards", "message"),
    [
        ("gamma_1.fits", with_nan, {}, r"1 unmasked pixel.*role mask"),
        ("gamma_2.fits", lambda d: d[:, :-1], {}, r"shape \(16, 15\), but the prior has \(16, 16\)"),
        ("gamma_std.fits", lambda d: -d, {}, "no unmasked pixel has positive noise"),
        ("gamma_2.fits", lambda d: 1e4 * d, {}, "the largest shear is"),
        (
            "gamma_1.fits",
            lambda d: d,
            {"CDELT1": -0.01, "CDELT2": 0.01},
            "0.6000 arcmin, but pixel_scale is 2.5",
        ),
    ],
)
def test_maps_that_cannot_be_used(mine, tmp_path, file, change, cards, message):
    refused("myshear", spoilt(mine, tmp_path, file, change, **cards), file, message)


@pytest.mark.parametrize(
    ("file", "change", "cards", "changed", "message"),
    [
        ("galaxy.fits", lambda d: d, {"CTYPE1": None, "CTYPE2": None}, {}, "no world coordinates"),
        ("galaxy.fits", with_nan, {}, {}, "1 bad pixels in the stamp"),
        ("galaxy.fits", lambda d: -d, {}, {}, "subtract the background and centre the object"),
        ("galaxy.fits", lambda d: d, {}, {"data_scale": 0.05}, "correct data_scale"),
        ("galaxy.fits", lambda d: d, {}, {"position": [150.2, 2.2]}, "extend beyond the frame"),
        ("galaxy_psf.fits", lambda d: d[1:], {}, {}, "two odd sides"),
    ],
)
def test_an_image_that_cannot_be_used(mine, tmp_path, file, change, cards, changed, message):
    refused("mygalaxy", spoilt(mine, tmp_path, file, change, **cards), file, message, **changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"u": 1e-3 * c["u"], "v": 1e-3 * c["v"]}, "give u and v in wavelengths"),
        (lambda c: c | {"V": np.where(np.arange(len(c["V"])) == 3, np.nan, c["V"])}, "not finite"),
        (lambda c: c | {"weights": c["weights"][1:]}, "one row for each visibility"),
        (lambda c: {key: c[key] for key in "uvV"}, "no array 'weights'"),
        (lambda c: c | {"V": -c["V"]}, "subtract the background and centre the object"),
    ],
)
def test_visibilities_that_cannot_be_used(mine, tmp_path, change, message):
    with np.load(mine / "disk.npz") as file:
        np.savez(tmp_path / "disk.npz", **change(dict(file)))
    refused("mytable", tmp_path, "disk.npz", message)


def test_uncalibrated_uvfits_is_refused(mine, tmp_path):
    content = (mine / "disk.uvfits").read_bytes()
    (tmp_path / "disk.uvfits").write_bytes(content.replace(b"BUNIT   = 'JY      '", b"BUNIT   = 'UNCALIB '"))
    refused(
        "mydisk", tmp_path, "disk.uvfits", "the unit of the visibilities is UNCALIB; calibrate them to Jy"
    )


@pytest.mark.parametrize(
    ("block", "change", "message"),
    [
        (
            "mylens",
            {"noise": "a.fits"},
            "problems.mylens.files.noise: there is no role of a file 'noise'.*noise_map",
        ),
        ("mygalaxy", {"f160w": "a.fits"}, "problems.mygalaxy.files.f160w.*f814w"),
        ("mydisk", {"visibilities": "a/*.uvfits"}, r"files.visibilities is 'a/\*.uvfits', expected a match"),
    ],
)
def test_roles_are_those_of_the_kind(block, change, message):
    config = configuration()
    config["problems"][block]["files"].update(change)
    with pytest.raises(settings.SettingsError, match=message):
        settings.check_config(config, "mine.yaml")


def test_downloaded_or_own_but_not_both():
    config = configuration()
    config["problems"]["mylens"]["data"] = "sdssj1430"
    with pytest.raises(settings.SettingsError, match=r"mylens\.files: beside `data: sdssj1430`; give one"):
        settings.check_config(config)
