"""Antennas, uv tracks and thermal noise of a simulated array; disks."""

from __future__ import annotations

import numpy as np
import pytest

from skyscore.simulate import SIMULATORS
from skyscore.simulate.disks import Disks
from skyscore.simulate.tracks import spiral_array, thermal_noise, uv_tracks
from skyscore.units import SPEED_OF_LIGHT

FREQUENCY = SPEED_OF_LIGHT / 1e9  # one metre is one wavelength


def test_array_has_room_and_reach():
    positions = spiral_array(40, 800.0, 15.0)
    pairs = np.hypot(*(positions[:, None] - positions[None])[..., :2].transpose(2, 0, 1))
    off = pairs[np.triu_indices(40, 1)]
    assert abs(off.max() - 800) < 1e-9 and off.min() > 10  # 15 before scaling
    assert np.array_equal(positions, spiral_array(40, 800.0, 15.0))
    with pytest.raises(ValueError, match="3 or more"):
        spiral_array(2, 100.0)
    with pytest.raises(ValueError, match="no room"):
        spiral_array(60, 20.0, 15.0)


def test_every_pair_once_and_none_with_itself():
    positions = spiral_array(6, 100.0)
    uv = uv_tracks(positions, -23.0, -30.0, np.array([0.0, 0.5]), FREQUENCY)
    assert uv.shape == (2 * 15, 2) and np.hypot(*uv.T).min() > 0
    # no baseline is another's conjugate
    sums = np.abs(uv[:15, None] + uv[None, :15]).max(-1)
    assert sums.min() > 1e-6


def test_source_in_the_zenith_sees_the_ground():
    """At transit of a source in the zenith (u, v) are the east and the north component of a baseline."""
    positions = np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0], [0.0, 20.0, 0.0]])
    uv = uv_tracks(positions, -23.0, -23.0, np.array([0.0]), FREQUENCY)
    assert np.allclose(uv, [[30, 0], [0, 20], [-30, 20]])
    low = uv_tracks(positions, -23.0, 30.0, np.array([0.0]), FREQUENCY)  # 53 degrees from the zenith
    assert np.allclose(low[1], [0, 20 * np.cos(np.radians(53))])


def test_east_west_track_is_an_ellipse():
    """u^2 + (v / sin delta)^2 = length^2 for an east-west baseline, at any hour angle."""
    positions = np.array([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0], [0.0, 40.0, 0.0]])
    delta = -40.0
    uv = uv_tracks(positions, -30.0, delta, np.linspace(-3, 3, 9), FREQUENCY)[::3]
    assert np.allclose(uv[:, 0] ** 2 + (uv[:, 1] / np.sin(np.radians(delta))) ** 2, 2500)


def test_low_sources_are_left_out():
    positions = spiral_array(5, 100.0)
    uv = uv_tracks(positions, -23.0, -23.0, np.array([0.0, 11.0]), FREQUENCY)
    assert len(uv) == 10
    with pytest.raises(ValueError, match="never rises"):
        uv_tracks(positions, -23.0, 60.0, np.array([0.0]), FREQUENCY)


def test_radiometer_equation():
    assert abs(thermal_noise(1000.0, 1.0, 1.0, 1, 1.0) - 1000 / np.sqrt(2e9)) < 1e-12
    assert abs(thermal_noise(1000.0, 1.0, 4.0) / thermal_noise(1000.0, 1.0, 1.0) - 0.5) < 1e-12


def test_disks():
    """Same seed, same disks at any size; positive, of order one, with a dark annulus and light within the frame."""
    images = Disks.simulate(24, 32, seed=4)
    assert images.shape == (24, 1, 32, 32) and images.dtype == np.float32 and images.min() >= 0
    assert np.array_equal(images, SIMULATORS["disks"].simulate(24, 32, {}, 4))
    double = Disks.simulate(24, 64, seed=4).reshape(24, 1, 32, 2, 32, 2).mean((3, 5))
    assert np.abs(double - images).mean() < 0.02 * images.max()
    border = np.concatenate((images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]), -1)
    assert border.max() < 0.02 * images.max()
    face_on = Disks.simulate(
        8, 64, {"inclination": [0.0, 1.0], "gaps": 1, "spiral_fraction": 0, "offset": 0}, 1
    )
    y, x = np.mgrid[:64, :64] - 31.5
    ring = np.rint(np.hypot(x, y)).astype(int)
    for image in face_on[:, 0]:
        light, pixels = (np.bincount(ring.ravel(), w)[1:26] for w in (image.ravel(), np.ones(64**2)))
        steps = np.diff(light / pixels)
        assert (steps > 0).any() and (steps < 0).any()  # it falls into the gap and rises to the ring
    with pytest.raises(ValueError, match="unknown"):
        Disks.simulate(1, 32, {"rings": 3})
    with pytest.raises(ValueError, match="16"):
        Disks.simulate(1, 8)
