"""Radial profiles of inclined disks: closed form, orientation, rings, files that cannot be used."""

import numpy as np
import pytest

from skyscore.io import InputError
from skyscore.problems.radial import DiskProfile, disk_of, radial_profile, ring_radius
from skyscore.problems.radio_real import read_profile

SCALE, PIXELS, TILT = 0.02, 160, (35.0, 86.0)
RINGS = [0.6, 1.0]


def brightness(r):
    """Falls exponentially, with two rings; Jy / sr."""
    rings = sum(h * np.exp(-(((r - at) / 0.08) ** 2)) for h, at in zip((0.1, 0.05), RINGS, strict=True))
    return 1e10 * (np.exp(-r / 0.25) + rings)


def disk(inclination, position_angle, middle=(79.2, 80.7)):
    """The same on the sky, (PIXELS, PIXELS) in Jy / pixel: rows to the north, columns to the west."""
    rows, columns = np.mgrid[:PIXELS, :PIXELS]
    north, east = (rows - middle[0]) * SCALE, -(columns - middle[1]) * SCALE
    pa, squeezed = np.radians(position_angle), np.cos(np.radians(inclination))
    major, minor = east * np.sin(pa) + north * np.cos(pa), east * np.cos(pa) - north * np.sin(pa)
    return brightness(np.hypot(major, minor / squeezed)) * (SCALE * np.pi / 180 / 3600) ** 2


def table(factor=1.0):
    r = np.arange(0.004, 2.5, 0.008)
    return np.stack([r, factor * brightness(r)], 1)


@pytest.mark.parametrize("tilt", [(0.0, 0.0), TILT, (60.0, 20.0), (60.0, 160.0)])
def test_the_profile_of_a_tilted_disk_is_its_own(tilt):
    r = np.arange(0.2, 1.2, 0.02)
    found = radial_profile(disk(*tilt), SCALE, r, *tilt) / (SCALE * np.pi / 180 / 3600) ** 2
    assert np.abs(found / brightness(r) - 1).max() < 0.03


def test_a_wrong_position_angle_blurs_the_rings():
    profile, image = DiskProfile(table(), SCALE, PIXELS, *TILT, RINGS), disk(60.0, 20.0)
    right = DiskProfile(table(), SCALE, PIXELS, 60.0, 20.0, RINGS).compared(image[None])
    mirrored = DiskProfile(table(), SCALE, PIXELS, 60.0, 160.0, RINGS).compared(image[None])
    assert right["profile_correlation"] > 0.99 > mirrored["profile_correlation"] + 0.1
    assert profile.radii[0] == pytest.approx(3 * SCALE) and profile.radii[-1] < 0.4 * PIXELS * SCALE


def test_samples_against_a_published_profile():
    """Half as bright on half of the samples; rings where they are."""
    profile = DiskProfile(table(), SCALE, PIXELS, *TILT, RINGS)
    found = profile.compared(np.stack([disk(*TILT), 0.5 * disk(*TILT)]))
    assert found["profile_ratio"] == pytest.approx([1.0, 0.5], rel=0.02)
    published = profile.published_numbers()
    for k, at in enumerate(RINGS, 1):
        assert published[f"ring_{k}_published_arcsec"] == pytest.approx(at, abs=0.03)
        assert found[f"ring_{k}_arcsec"] == pytest.approx(
            [published[f"ring_{k}_published_arcsec"]] * 2, abs=0.021
        )


def test_a_ring_is_looked_for_near_its_radius():
    r = np.arange(0.1, 1.3, 0.01)
    assert ring_radius(r, brightness(r), 0.62) == pytest.approx(0.61, abs=0.03)


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3\n2 3 4", "0.1 1\n0.1 2", "0.2 1\n0.1 2", "a b\nc d", "0.1 1\n0.2 nan", "1 2", "\0\1\2"],
)
def test_files_that_hold_no_profile(tmp_path, text):
    path = tmp_path / "profile.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"profile\.txt: "):
        read_profile(path)


def test_what_a_profile_needs(tmp_path):
    np.savetxt(tmp_path / "p.txt", table())
    found = read_profile(tmp_path / "p.txt")
    assert np.allclose(found, table())
    s = {"field": SCALE * PIXELS, "disk": None, "rings": RINGS}
    with pytest.raises(InputError, match="set disk"):
        disk_of(s, found, PIXELS)
    with pytest.raises(InputError, match="beyond"):
        disk_of(s | {"disk": [35.0, 86.0], "rings": [1.5]}, found, PIXELS)
    assert disk_of(s | {"disk": [35.0, 86.0]}, found, PIXELS).rings == RINGS
