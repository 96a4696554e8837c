"""Real lenses in HDF5 cut-outs: what is read, what is refused, exposures, the sky, and lengths at a redshift."""

from __future__ import annotations

import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.wcs import WCS
from scipy.integrate import quad

from skyscore import io
from skyscore.problems.lens.files import read_imaging
from skyscore.problems.lens.observed import distances
from skyscore.sky.noise import SkyNoise, measure_sky_noise
from skyscore.sky.wcs import EAST_LEFT, sky_cards

SCALE = 0.05


def cut_out(folder: Path, **changed) -> dict[str, str]:
    """A cut-out of even sides with the lens on pixel n / 2; a value of None leaves a data set out."""
    g, n = np.random.default_rng(1), 40
    image = g.normal(0.02, 0.004, (n, n)).astype(np.float32)
    image[n // 2, n // 2] = 4.0
    content = {
        "image_data": image,
        "exposure_time": np.full((n, n), 2000.0, dtype=">f4"),
        "background_rms": 0.005,
        "transform_pix2angle": SCALE * np.array([[-1.0, 1e-5], [1e-5, 1.0]]),
    }
    with h5py.File(folder / "image.h5", "w") as file:
        for name, value in (content | changed).items():
            if value is not None and name != "psf":
                file[name] = value
    with h5py.File(folder / "psf.h5", "w") as file:
        file["kernel_point_source"] = changed.get("psf", np.full((5, 5), 0.0398, dtype=np.float32))
    return {name: str(folder / f"{name}.h5") for name in ("image", "psf")}


def test_a_cut_out_is_read(tmp_path):
    found = read_imaging(cut_out(tmp_path), SCALE)
    assert found.image.shape == (39, 39) and found.image[19, 19] == 4.0  # the lens is on the middle pixel
    assert found.image.dtype == found.exposure.dtype == np.float64
    assert found.noise_map[19, 19] == pytest.approx(math.sqrt(0.005**2 + 4 / 2000))
    assert found.good.all() and found.psf.sum() == pytest.approx(1)
    assert found.transform[0, 0] < 0 < found.transform[1, 1]  # east to the left, north up


@pytest.mark.parametrize(
    ("changed", "file", "message"),
    [
        ({"exposure_time": None}, "image.h5", "holds no data set 'exposure_time'"),
        ({"exposure_time": np.ones((40, 39))}, "image.h5", "one exposure time per pixel"),
        ({"exposure_time": np.zeros((40, 40))}, "image.h5", "not positive"),
        ({"image_data": np.ones(40)}, "image.h5", "one exposure time per pixel"),
        ({"image_data": np.full((40, 40), np.nan)}, "image.h5", "not finite"),
        ({"background_rms": -1.0}, "image.h5", "one positive number"),
        ({"background_rms": [1.0, 2.0]}, "image.h5", "one positive number"),
        ({"transform_pix2angle": np.eye(3)}, "image.h5", "2 x 2"),
        ({"transform_pix2angle": np.diag([0.05, 0.06])}, "image.h5", "not square"),
        ({"transform_pix2angle": np.zeros((2, 2))}, "image.h5", "not square"),
        ({"transform_pix2angle": 0.04 * np.eye(2)}, "image.h5", "0.0400 arcsec, but pixel_scale is 0.05"),
        ({"psf": np.ones((4, 4))}, "psf.h5", "odd"),
        ({"psf": np.full((5, 5), -1.0)}, "psf.h5", "no flux"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, changed, file, message):
    with pytest.raises(io.InputError, match=message) as error:
        read_imaging(cut_out(tmp_path, **changed), SCALE)
    assert file in str(error.value) and "\n" not in str(error.value)


def test_roles_and_cut_files_are_named(tmp_path):
    files = cut_out(tmp_path)
    with pytest.raises(io.InputError, match="no file for psf"):
        read_imaging({"image": files["image"]}, SCALE)
    content = Path(files["image"]).read_bytes()
    Path(files["image"]).write_bytes(content[: len(content) // 2])
    with pytest.raises(io.InputError, match=r"image\.h5: not a readable HDF5 file"):
        read_imaging(files, SCALE)


# ---------------------------------------------------------------------------- exposures


def test_less_exposure_is_more_noise():
    share = np.array([[1.0, 0.25]])
    law = SkyNoise(0.003, np.ones((1, 1)), 2000.0, 1.0, 0.0, 1, np.ones((1, 1)), share)
    flux = np.full((1, 2), 0.5)
    assert law.deviation(flux) == pytest.approx(np.sqrt((0.003**2 + 0.5 / 2000) / share))


def test_noise_is_measured_alike_from_unequal_exposures():
    """White sky of 0.01 for full exposure, a third of the pixels with a fourth of it: deviates are of unit variance."""
    g, n, full = np.random.default_rng(3), 121, 1600.0
    exposure = np.where(g.random((n, n)) < 1 / 3, full / 4, full)
    truth = 0.01 * np.sqrt(full / exposure)
    image = truth * g.standard_normal((n, n))
    image[60, 60] = 50.0  # the lens, on which the exposure is read off
    exposure[60, 60] = full
    noise_map = np.sqrt(0.01**2 + np.clip(image, 0, None) / full)
    found = measure_sky_noise(image, noise_map, 0.1, 2.0, exposure=exposure)
    assert found.exposure == pytest.approx(full, rel=0.02)
    assert found.std == pytest.approx(0.01, rel=0.02)
    away = np.hypot(*(np.mgrid[:n, :n] - 60)) > 20
    z = (image / found.deviation(np.zeros((n, n))))[away]
    for part in (exposure[away] == full, exposure[away] < full):
        assert z[part].std() == pytest.approx(1, abs=0.05)
    assert abs(found.spread - 1) < 0.3  # white


# ---------------------------------------------------------------------------- the sky


def test_cards_of_the_source_frame_say_where_it_is():
    """The middle of the image lies at the given position; a step in +x goes west, in +y north, by a source pixel."""
    scale, pixels, middle = 0.0375, 64, (0.12, -0.06)
    reference = [(pixels + 1) / 2 - offset / scale for offset in middle]
    wcs = WCS(sky_cards([246.9, -0.9], scale / 3600 * EAST_LEFT, pixels, reference))
    at = np.array(reference) - 1
    ra, dec = np.transpose(wcs.wcs_pix2world([at, at + np.array([1, 0]), at + np.array([0, 1])], 0))
    assert ra[0] == pytest.approx(246.9, abs=1e-9) and dec[0] == pytest.approx(-0.9, abs=1e-9)
    assert (ra[1] - ra[0]) * math.cos(math.radians(0.9)) * 3600 == pytest.approx(-scale, rel=1e-4)
    assert (dec[2] - dec[0]) * 3600 == pytest.approx(scale, rel=1e-4)


def test_lengths_are_those_of_the_cosmology():
    """Flat LCDM by quadrature with the parameters of Planck 2018; astropy adds neutrinos, 0.1 per cent at these z."""
    found = distances(0.2, 0.8)
    for name, z in (("lens", 0.2), ("source", 0.8)):
        comoving = quad(lambda x: 1 / math.sqrt(0.3097 * (1 + x) ** 3 + 0.6903), 0, z)[0] * 299792.458 / 67.66
        kpc = 1e3 * comoving / (1 + z) * math.radians(1 / 3600)
        assert found[f"{name}_kpc_per_arcsec"] == pytest.approx(kpc, rel=3e-3)
        assert found[f"{name}_redshift"] == z
