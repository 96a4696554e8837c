"""Convergence fields: their power is that of theory, their skewness that of a lognormal, their patches not periodic."""

import numpy as np
import pytest

from skyscore import io
from skyscore.simulate import SIMULATORS
from skyscore.simulate.convergence import (
    UNIT,
    WIDER,
    Convergence,
    angular_power,
    completed,
    lognormal_power,
    pixel_power,
)

DEFAULTS = completed({})


@pytest.fixture(scope="module")
def patches():
    return Convergence.simulate(1600, 16, {}, seed=0)[:, 0].astype(float)


def test_theory_is_that_of_a_direct_limber_integral():
    """Halofit's power projected by hand: C = int dchi q^2 / chi^2 P((l + 1/2) / chi), q the lensing kernel."""
    import pyccl

    ell, C = angular_power(DEFAULTS)
    s = DEFAULTS
    cosmology = pyccl.Cosmology(
        Omega_c=s["omega_m"] - s["omega_b"],
        Omega_b=s["omega_b"],
        h=s["h"],
        sigma8=s["sigma_8"],
        n_s=s["n_s"],
        transfer_function="eisenstein_hu",
        matter_power_spectrum="halofit",
    )
    z = np.linspace(0.005, 8, 1500)
    chi, a = pyccl.comoving_radial_distance(cosmology, 1 / (1 + z)), 1 / (1 + z)
    alpha, beta, z0 = s["sources"]
    n = z**alpha * np.exp(-((z / z0) ** beta))
    n /= np.trapezoid(n, z)
    reach = np.array([np.trapezoid((n * (1 - c / chi))[chi >= c], z[chi >= c]) for c in chi])
    q = 1.5 * s["omega_m"] * (s["h"] / 2997.92458) ** 2 * chi / a * reach
    for multipole in (200, 2000):
        k = (multipole + 0.5) / chi
        P = np.array([pyccl.nonlin_matter_power(cosmology, *pair) for pair in zip(k, a, strict=True)])
        by_hand = np.trapezoid(q**2 / chi**2 * P, chi)
        assert np.exp(np.interp(np.log(multipole), np.log(ell), np.log(C))) == pytest.approx(
            by_hand, rel=0.01
        )


def test_power_of_the_field_is_that_of_theory():
    """The lognormal transform gives the power that was asked for, mode by mode, to the scatter of 300 fields."""
    power, side = pixel_power(DEFAULTS, 32), 32
    root, shift = np.sqrt(lognormal_power(power, DEFAULTS["shift"])), DEFAULTS["shift"]
    white = np.random.default_rng(1).standard_normal((2000, side, side))
    kappa = shift * np.expm1(np.fft.ifft2(root * np.fft.fft2(white)).real - 0.5 * (root**2).mean())
    measured = (np.abs(np.fft.fft2(kappa)) ** 2).mean(0) / side**2
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    for low, high in ((0, 0.05), (0.05, 0.15), (0.15, 0.3), (0.3, 0.75)):
        band = (k >= low) & (k < high)
        assert measured[band].sum() / power[band].sum() == pytest.approx(1, abs=0.04)


def test_patches_have_the_covariance_of_theory(patches):
    xi = Convergence.covariance(16, {})
    assert patches.mean() == pytest.approx(0, abs=0.03)
    for dy, dx in ((0, 0), (0, 1), (2, 1), (5, 5), (15, 0)):
        pairs = patches[:, : 16 - dy, : 16 - dx] * patches[:, dy:, dx:]
        error = pairs.mean((1, 2)).std() / np.sqrt(len(pairs))
        assert abs(pairs.mean() - xi[dy, dx]) < 4 * error, (dy, dx)


def test_skewness_and_floor_are_those_of_a_lognormal(patches):
    shift, variance = DEFAULTS["shift"] / UNIT, Convergence.covariance(16, {})[0, 0]
    w = 1 + variance / shift**2
    skewness = ((patches - patches.mean()) ** 3).mean() / patches.std() ** 3
    assert skewness == pytest.approx((w + 2) * np.sqrt(w - 1), rel=0.15) and skewness > 1.5
    assert patches.min() > -shift and patches.max() > 5 * patches.std()


def test_patches_are_not_periodic(patches):
    """Opposite edges are a patch's width apart: their correlation is far below that of neighbours."""
    xi = Convergence.covariance(16, {})
    edges = (patches[:, 0] * patches[:, -1]).mean() / patches.var()
    assert abs(edges - xi[15, 0] / xi[0, 0]) < 0.05 and xi[1, 0] > 4 * xi[15, 0]


def test_same_seed_same_patches_whatever_their_number():
    a = Convergence.simulate(5, 16, {}, seed=3)
    assert a.shape == (5, 1, 16, 16) and a.dtype == np.float32
    assert np.array_equal(a, Convergence.simulate(5, 16, {}, seed=3))
    assert not np.allclose(a, Convergence.simulate(5, 16, {}, seed=4))
    assert SIMULATORS["convergence"] is Convergence


def test_a_power_that_no_lognormal_has_is_refused():
    power = pixel_power(DEFAULTS, WIDER * 16)
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(WIDER * 16)] * 2))
    with pytest.raises(ValueError, match="raise the shift"):
        lognormal_power(np.where((k > 0.2) & (k < 0.25), power, 0), 1e-4)


@pytest.mark.parametrize("suffix", ["npy", "fits"])
def test_patches_of_maps(tmp_path, suffix):
    from astropy.io import fits

    path, sky = tmp_path / f"map.{suffix}", np.arange(96.0 * 80).reshape(96, 80)
    np.save(path, sky) if suffix == "npy" else fits.writeto(path, sky)
    s = {"maps": [str(path), str(path)], "pixel_scale": 0.58}
    images = Convergence.simulate(7, 16, s, 0)
    assert images.shape == (7, 1, 16, 16) and len(np.unique(images.mean((1, 2, 3)))) > 4
    inner = np.sort(np.abs(np.diff(images[:, 0] * UNIT, axis=2)).reshape(7, -1), axis=1)
    assert set(np.round(inner[:, 100])) <= {
        2,
        160,
    }  # two pixels of the map along its rows, or two of its rows
    with pytest.raises(io.InputError, match="needs 192"):
        Convergence.simulate(1, 96, s, 0)
    with pytest.raises(io.InputError, match="not a multiple"):
        Convergence.simulate(1, 16, {**s, "pixel_scale": 0.7}, 0)


def test_broken_maps_are_named(tmp_path):
    path = tmp_path / "map.npy"
    path.write_bytes(b"nonsense")
    with pytest.raises(io.InputError, match=r"map\.npy"):
        io.read_map(path)
    np.save(path, np.full((4, 4), np.nan))
    with pytest.raises(io.InputError, match="finite"):
        io.read_map(path)
