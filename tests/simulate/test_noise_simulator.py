"""Noise of a drizzled detector: units, correlation, stripes, hits, seeds; symmetries of its training."""

import numpy as np
import pytest
import torch

from skyscore.diffusion.training import symmetry
from skyscore.simulate.noise import Noise, detector, drizzle_kernel

DEFAULTS = Noise.completed({})
QUIET = {"tracks": 0.0, "hot": 0.0, "stripes": [0.0, 0.0]}


def noise(n=200, pixels=32, seed=0, **changes):
    return Noise.simulate(n, pixels, changes, seed)[:, 0].astype(float)


def test_the_core_has_unit_variance_and_the_kernels_correlation():
    x, f = noise(400, **QUIET), drizzle_kernel(DEFAULTS["kernel"])
    assert x.std() == pytest.approx(1, abs=0.01) and abs(x.mean()) < 0.01
    neighbour = (x[:, :, 1:] * x[:, :, :-1]).mean()
    assert neighbour == pytest.approx((f[1:] * f[:-1]).sum(), abs=0.01) and neighbour > 0.2
    white = noise(400, **QUIET, kernel=0.0)
    assert abs((white[:, 1:] * white[:, :-1]).mean()) < 0.01


def test_stripes_run_along_rows():
    x = noise(300, tracks=0.0, hot=0.0, stripes=[0.8, 0.0])
    rows, columns = x.mean(2).std(), x.mean(1).std()
    assert rows > 2.5 * columns
    far = (x[:, :, :-8] * x[:, :, 8:]).mean()  # of one row, beyond the kernel
    assert far == pytest.approx(0.8**2 * drizzle_kernel(DEFAULTS["kernel"]).sum() ** 2, rel=0.1)


def test_hits_are_positive_and_far_from_gaussian():
    x = noise(400)
    assert (x > 6).mean() > 0.003 and (x < -6).mean() < 1e-4
    z = (x - x.mean()) / x.std()
    assert (z**4).mean() > 10 and x.max() < 60


def test_the_charge_of_hot_pixels_and_tracks_is_what_was_asked():
    rng, s = np.random.default_rng(0), {**DEFAULTS, **QUIET}
    mean = 9.0 * np.exp(0.5 * 0.1**2)
    law = {"brightest": 1e3, "hot_charge": [9.0, 0.1], "track_charge": [9.0, 0.1], "track_length": 2.0}
    hot = detector(400, 32, {**s, **law, "hot": 5.0}, rng).mean()
    assert hot == pytest.approx(0.005 * mean, rel=0.12)
    lines = detector(400, 32, {**s, **law, "tracks": 5.0}, rng).mean()
    assert lines == pytest.approx(0.005 * mean * 2.0, rel=0.12)  # rate x charge per length x mean length


def test_same_seed_same_noise():
    assert np.array_equal(noise(20, 16, 1), noise(20, 16, 1))
    assert not np.allclose(noise(20, 16, 1), noise(20, 16, 2))
    assert Noise.simulate(3, 16, {}, 0).dtype == np.float32
    with pytest.raises(ValueError, match="cosmics"):
        Noise.simulate(1, 16, {"cosmics": 3}, 0)


@pytest.mark.parametrize(("group", "count"), [("square", 8), ("flips", 4), ("none", 1)])
def test_symmetries_of_training(group, count):
    image = torch.arange(9.0).reshape(1, 1, 3, 3)
    seen = symmetry(image.expand(400, -1, -1, -1), torch.Generator().manual_seed(0), group)
    different = {tuple(x.flatten().tolist()) for x in seen}
    assert len(different) == count
    if group == "flips":  # rows stay rows
        assert all(
            {tuple(sorted(r.tolist())) for r in x[0]} == {(0, 1, 2), (3, 4, 5), (6, 7, 8)} for x in seen
        )
