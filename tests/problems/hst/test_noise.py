"""Blank sky of real frames: what is called so, how patches of noise are cut from it, and when there is too little."""

import numpy as np
import pytest
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from skyscore import io
from skyscore.simulate.sky import Sky, corners, disjoint, split_rows
from skyscore.sky.frames import clear
from skyscore.sky.noise import autocorrelation
from tests.helpers.frames import SKY


def correlated(seed: int, side: int = 220) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), (0.5, 0.8))
    return noise / noise.std()


def crowded(side: int = 220, seed: int = 5) -> np.ndarray:
    """30 galaxies of peaks from 5 to 300 sigma, exponential, and a slope of the background."""
    g = np.random.default_rng(seed)
    y, x = np.indices((side, side))
    image = 3 * x / side
    for _ in range(30):
        a, b, q = g.uniform(0, side), g.uniform(0, side), g.uniform(0.4, 1)
        image = image + 5 * 60 ** g.random() * np.exp(-np.hypot(x - a, (y - b) / q) / g.uniform(1, 2.5))
    return image


def test_no_light_of_sources_is_in_the_sky():
    """What is called blank is the noise that was put in: its mean, deviation and correlations."""
    noise = correlated(2)
    frame = clear(noise + crowded(), np.ones((220, 220), bool), SKY)
    assert 0.4 < frame.blank.mean() < 0.95
    leak = (frame.image - noise)[frame.blank]
    assert abs(leak.mean()) < 0.05 and leak.std() < 0.15
    assert frame.std == pytest.approx(1, abs=0.03)
    found = autocorrelation(np.where(frame.blank, frame.image, 0.0), frame.blank, 4)
    true = autocorrelation(noise, np.ones_like(noise, bool), 4)
    assert np.abs(found - true).max() < 0.04


def write_sky(tmp_path, image, weight=None):
    fits.PrimaryHDU(image.astype(np.float32)).writeto(tmp_path / "a.fits", overwrite=True)
    files = {"one/f160w": str(tmp_path / "a.fits")}
    if weight is not None:
        fits.PrimaryHDU(weight.astype(np.float32)).writeto(tmp_path / "w.fits", overwrite=True)
        files["one/f160w_weight"] = str(tmp_path / "w.fits")
    return files


def test_patches_are_of_blank_sky_and_of_their_split(tmp_path):
    """Every patch is found again in the frame, on rows of its split and on no source; units are the core's sigma."""
    image = 0.02 * correlated(3) + 0.7
    image[60:80, 90:130] += 5
    rows = {}
    for split in ("train", "held_out"):
        patches = Sky.cut(64, 16, {"share": 0.4}, write_sky(tmp_path, image), split, 7)
        assert patches.shape == (64, 1, 16, 16) and patches.dtype == np.float32
        assert patches.std() == pytest.approx(1, abs=0.1) and abs(patches.mean()) < 0.15 and patches.max() < 6
        frame = clear(image.astype(np.float32).astype(float), np.ones(image.shape, bool), SKY)
        z = (frame.image / frame.std).astype(np.float32)
        rows[split] = set()
        for patch in patches[:, 0]:
            places = [(i, j) for i, j in np.argwhere(np.abs(z - patch[0, 0]) < 1e-5) if max(i, j) + 16 <= 220]
            places = [(i, j) for i, j in places if np.allclose(z[i : i + 16, j : j + 16], patch, atol=1e-4)]
            assert len(places) == 1
            rows[split].add(int(places[0][0]))
    assert max(rows["train"]) + 16 <= 132 and min(rows["held_out"]) >= 136
    again = Sky.cut(64, 16, {"share": 0.4}, write_sky(tmp_path, image), "held_out", 7)
    assert np.array_equal(again, patches)


def test_bad_pixels_are_no_sky():
    image, weight = correlated(4, 96), np.ones((96, 96), bool)
    weight[:, 40:50] = False
    image[:, 40:50] = 1e6
    frame = clear(image, weight, SKY)
    assert not frame.blank[:, 40:50].any() and frame.std == pytest.approx(1, abs=0.06)
    image[10, 10] = 12.0
    assert not clear(image, weight, SKY).blank[10, 10]


def test_corners_and_disjoint_patches():
    where = np.ones((20, 30), bool)
    assert len(corners(where, 8)) == 13 * 23 and disjoint(corners(where, 8), 8) == 2 * 3
    where[9, 14] = False
    places = corners(where, 8)
    assert not any(i <= 9 < i + 8 and j <= 14 < j + 8 for i, j in places)
    assert len(corners(where, 21)) == 0 and disjoint(corners(where, 21), 21) == 0
    train, held_out = (split_rows(where, split, 0.5) for split in ("train", "held_out"))
    assert not (train & held_out).any() and train[:10].sum() == 299 and held_out[14:].all()


def test_sky_that_is_too_little_or_none_is_refused(tmp_path):
    files = write_sky(tmp_path, correlated(3, 96))
    with pytest.raises(
        io.InputError,
        match=r"a\.fits: the train sky has \d patches of 40 pixels without overlap, but 8 are needed",
    ):
        Sky.cut(10, 40, None, files, "train", 0)
    with pytest.raises(io.InputError, match="name their data sets under `data`"):
        Sky.simulate(10, 16, {}, 0)
    with pytest.raises(io.InputError, match="the sky has no noise"):
        Sky.cut(10, 16, None, write_sky(tmp_path, np.zeros((96, 96))), "train", 0)
    with pytest.raises(io.InputError, match="no good pixel"):
        Sky.cut(10, 16, None, write_sky(tmp_path, correlated(1, 96), np.zeros((96, 96))), "train", 0)
    with pytest.raises(io.InputError, match=r"no file for 'f125w'.*datasets\.tsv"):
        Sky.cut(10, 16, {"band": "f125w"}, files, "train", 0)
