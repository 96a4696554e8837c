"""Two real frames on one sky: their offset, from coordinates, sources or the frames themselves."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from skyscore import io
from skyscore.problems import Observation, load_problem
from skyscore.problems.hst.alignment import (
    alignment,
    offset_of_frames,
    offsets_of_sources,
    read_wcs,
)
from skyscore.problems.hst.observed import observe_hst
from skyscore.sky.frames import read_frame
from tests.helpers.frames import (
    BROAD,
    COARSE,
    DEC,
    FINE,
    RA,
    SHARP,
    SHIFT,
    SKY,
    changed,
    chi2,
    faint_frames,
    header,
    settings,
)


def test_centred_frames_need_no_coordinates(files):
    """Cut-outs around the object, one of them with a header that is wrong: the same stamps as with the right ones."""
    right, attrs = observe_hst(settings(), files, 32)
    changed(files, "f160w", lambda image: image, CROTA2=20.0)
    with pytest.raises(io.InputError, match=r"rotated by .*20\.00 degrees"):
        observe_hst(settings(), files, 32)
    changed(files, "f150w", lambda image: image, CTYPE1="X", CTYPE2="Y")
    with pytest.raises(io.InputError, match="give an image with a WCS"):
        observe_hst(settings(), files, 32)
    found, other = observe_hst(settings(centred=True), files, 32)
    assert np.array_equal(found["images"], right["images"])
    assert np.array_equal(found["sharp"], right["sharp"]) and other["wcs"].keys() == attrs["wcs"].keys()
    # NIRCam's frame is off by a known part of a pixel: the frames show it roughly, the other sources correct that,
    # or the settings say it
    n = other["numbers"]
    assert n["alignment_applied"] == 1
    for axis, known in zip("xy", SHIFT, strict=True):
        rough, error = n[f"frame_offset_{axis}_arcsec"], n[f"frame_offset_{axis}_error_arcsec"]
        assert abs(rough - known * FINE) < 3 * error < COARSE * 2
        assert rough + n[f"shift_{axis}_arcsec"] == pytest.approx(known * FINE, abs=0.002)
    told = observe_hst(settings(centred=True, check_offset=[d * FINE for d in SHIFT]), files, 32)[1]
    assert told["numbers"]["alignment_applied"] == 0
    assert told["sharp_offset"] == pytest.approx(attrs["sharp_offset"], abs=1e-6)
    assert other["sharp_offset"] == pytest.approx(attrs["sharp_offset"], abs=0.1)


def test_faint_frames_are_laid_on_each_other():
    """The offset of frames without a bright source: its error is that of twelve pairs, whose offsets are known."""
    blur = np.sqrt(BROAD**2 - SHARP**2) / 2.3548 / FINE
    places = WCS(header(110, COARSE)), WCS(header(220, FINE))
    box = (slice(47, 63), slice(47, 63))
    z = []
    for seed in range(12):
        true = np.random.default_rng(100 + seed).uniform(-4, 4, 2)
        frame, other = faint_frames(seed, tuple(true))
        found, error = offset_of_frames(frame, places[0], other, places[1], blur, box)
        z.append((found - true * FINE / COARSE) / error)
    assert 0.4 < np.mean(np.square(z)) < 2.2 and np.abs(z).max() < 4
    assert (error < 0.7).all()
    with pytest.raises(ValueError, match="do not determine the offset"):
        empty, other = faint_frames(0, (0, 0), 0.0)
        offset_of_frames(empty, places[0], other, places[1], blur, box)


def test_the_scene_is_where_it_is_on_the_sky(files):
    """A stamp around a place 0.3 arcsec east and 0.18 south: the object is right of and above its middle."""
    from astropy.wcs import WCS

    place = [RA + 0.3 / 3600 / np.cos(np.radians(DEC)), DEC - 0.18 / 3600]
    arrays, attrs = observe_hst(settings(position=place), files, 32)
    x, y = WCS(fits.Header(attrs["wcs"].items())).world_to_pixel_values(RA, DEC)
    assert (x, y) == (pytest.approx(15.5 + 0.3 / FINE, abs=1.01), pytest.approx(15.5 + 0.18 / FINE, abs=1.01))
    row, column = np.unravel_index(gaussian_filter(arrays["sharp"], 3).argmax(), (32, 32))
    assert abs(column - x) < 3 and abs(row - y) < 3


def test_offsets_of_sources_are_found_and_applied(files):
    """A WCS that is a third of an HST pixel off: seen on the other sources, and undone."""
    wrong = header(220, FINE, (SHIFT[0] + 0.66, SHIFT[1] - 0.4), BUNIT="MJy/sr")
    changed(files, "f150w", lambda v: v, CRPIX1=wrong["CRPIX1"], CRPIX2=wrong["CRPIX2"])
    frame, sharp = (read_frame(files, role, SKY | {"background_width": 40.0}) for role in ("f160w", "f150w"))
    blur = np.sqrt(BROAD**2 - SHARP**2) / 2.355 / FINE
    found = offsets_of_sources(frame, read_wcs(files["f160w"]), sharp, read_wcs(files["f150w"]), blur)
    assert len(found) >= 6 and np.median(found, 0) == pytest.approx([-0.33, 0.2], abs=0.03)
    arrays, attrs = observe_hst(settings(), files, 32)
    assert attrs["numbers"]["alignment_applied"] == 1 and attrs["numbers"]["alignment_sources"] == 6
    assert attrs["numbers"]["shift_x_arcsec"] == pytest.approx(-0.33 * COARSE, abs=0.002)
    assert chi2(load_problem(Observation("hst", arrays, attrs))) < 1.3
    assert attrs["sharp_offset"] == pytest.approx([-SHIFT[1], -SHIFT[0]], abs=0.05)


def test_alignment_of_two_frames(files):
    at, J = alignment(read_wcs(files["f160w"]), read_wcs(files["f150w"]), 54.5, 54.5)
    assert at == pytest.approx([109.5 + SHIFT[0], 109.5 + SHIFT[1]], abs=1e-6)
    assert np.allclose(J, 2 * np.eye(2), atol=1e-6)
