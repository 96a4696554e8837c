"""UVFITS, closure phases and the diameter of a ring."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from skyscore import io
from skyscore.operators.interferometry import Interferometer, to_complex
from skyscore.problems.radio.closure import FLOOR, closure_misfit, closure_phases
from skyscore.problems.radio.observed import read_visibilities
from skyscore.problems.radio.problem import RadioProblem
from skyscore.problems.radio.ring import ring_diameter
from skyscore.problems.radio.uvfits import Visibilities, baseline_stations, read_uvfits
from skyscore.statistics.moments import moments_of

FREQUENCY, WIDTH = 227e9, 2e9


def write(path: Path, data: np.ndarray, codes: tuple[int, int] = (-1, -1), drop: str = "", **changed) -> str:
    """Random groups of shape (N, 1, 1, IF, F, stokes, 3): baselines (0.1 + n, -0.2) s, stations 1 and 2."""
    n = len(data)
    parameters = {
        "UU---SIN": 0.1 + np.arange(n),
        "VV---SIN": np.full(n, -0.2),
        "BASELINE": np.full(n, 258.0),
        "DATE": np.full(n, 2457850.0),
        "_DATE": np.arange(n) / 8640,
    } | changed
    parameters = {name: value for name, value in parameters.items() if not name.startswith(drop or "-")}
    groups = fits.GroupData(
        data.astype(np.float32), bitpix=-32, parnames=[name.strip("_") for name in parameters],
        pardata=[value.astype(np.float32) for value in parameters.values()],
    )  # fmt: skip
    hdu = fits.GroupsHDU(groups)
    axes = {2: ("COMPLEX", 1, 1), 3: ("STOKES", *codes), 4: ("FREQ", FREQUENCY, WIDTH), 6: ("RA", 187, 1)}
    for k, (name, value, step) in axes.items():
        hdu.header.update({f"CTYPE{k}": name, f"CRVAL{k}": value, f"CDELT{k}": step, f"CRPIX{k}": 1.0})
    hdu.writeto(path, overwrite=True)
    return str(path)


def groups(n: int = 6, windows: int = 1, channels: int = 2, stokes: int = 2) -> np.ndarray:
    data = np.ones((n, 1, 1, windows, channels, stokes, 3))
    data[..., 0, :2], data[..., 0, 2] = (1.0, 2.0), 4.0  # RR = 1 + 2i of variance 1/4
    data[..., 1, :2], data[..., 1, 2] = (3.0, 0.0), 1.0  # LL = 3 of variance 1
    return data


def test_stokes_i_is_the_mean_of_both_hands(tmp_path):
    found = read_uvfits(write(tmp_path / "a.uvfits", groups()))
    assert found.V.shape == (12,) and np.allclose(found.V, 2 - 1j)  # the sign of phases is turned
    assert np.allclose(found.weights, 4 / (1 / 4 + 1))  # variance of a mean of two
    assert np.allclose(found.uv[:2], [[0.1 * FREQUENCY, -0.2 * FREQUENCY], [0.1 * 229e9, -0.2 * 229e9]])
    assert np.allclose(np.diff(found.time[::2]) * 86400, 10, atol=1)  # both parts of the date
    assert (found.stations == [1, 2]).all()
    uv, V, weights = read_visibilities(tmp_path / "a.uvfits")
    assert (
        np.array_equal(uv, found.uv) and np.array_equal(V, found.V) and np.array_equal(weights, found.weights)
    )


def test_a_hand_that_was_copied_counts_once_and_a_lost_one_not_at_all(tmp_path):
    data = groups(3, channels=1)
    data[0, ..., 1, :] = data[0, ..., 0, :]  # Stokes I written as RR = LL
    data[1, ..., 1, 2] = -1.0  # LL flagged
    data[2, ..., 2] = 0.0
    found = read_uvfits(write(tmp_path / "a.uvfits", data))
    assert np.allclose(found.V, [1 - 2j, 1 - 2j]) and np.allclose(found.weights, [4, 4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": groups(windows=2)}, "several windows"),
        ({"data": groups(), "codes": (-3, -1)}, "do not give Stokes I"),
        ({"data": groups(), "drop": "UU"}, "no group parameter 'UU'"),
        ({"data": 0 * groups()}, "no visibility has positive weight"),
    ],
)
def test_what_cannot_be_used_is_named(tmp_path, arguments, message):
    with pytest.raises(io.InputError, match=message) as error:
        read_uvfits(write(tmp_path / "a.uvfits", **arguments))
    assert "a.uvfits" in str(error.value) and "\n" not in str(error.value)


def test_an_image_holds_no_visibilities(tmp_path):
    fits.writeto(tmp_path / "a.fits", np.ones((4, 4)))
    with pytest.raises(io.InputError, match="no random groups"):
        read_visibilities(tmp_path / "a.fits")


def test_numbers_of_stations():
    code = np.array([258.0, 262.01, 65536 + 2048 * 300 + 301])
    assert baseline_stations(code).tolist() == [[1, 2], [1, 6], [300, 301]]


# ---------------------------------------------------------------------------- closure phases

PIXELS, SCALE = 32, 4e-6


def ring(diameter: float = 4e-5, width: float = 6e-6, skew: float = 0.5) -> np.ndarray:
    """A ring of 1 Jy, brighter below."""
    y, x = (np.mgrid[:PIXELS, :PIXELS] - (PIXELS - 1) / 2) * SCALE
    image = np.exp(-(((np.hypot(x, y) - diameter / 2) / width) ** 2)) * (1 - skew * np.sin(np.arctan2(y, x)))
    return image / image.sum()


def observed(
    seed: int = 1, times: int = 20, noise: float = 3e-3, gains: bool = True
) -> tuple[Visibilities, np.ndarray]:
    """The ring seen by five stations with arbitrary gains and thermal noise, a time every 400 s; and the clean V."""
    g = np.random.default_rng(seed)
    at = 2.5e9 * np.array([[-1.0, 0.2], [0.9, -0.7], [0.1, 1.0], [-0.4, -0.8], [0.6, 0.5]])
    turn = np.linspace(0, 2, times)
    places = np.stack([at @ np.array([[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]]) for t in turn])
    pairs = np.array([(a, b) if (a + b) % 2 else (b, a) for a in range(5) for b in range(a + 1, 5)])
    uv = (places[:, pairs[:, 0]] - places[:, pairs[:, 1]]).reshape(-1, 2)
    A = Interferometer(uv, (PIXELS, PIXELS), SCALE, eps=1e-9)
    clean = to_complex(A(torch.from_numpy(ring())[None, None])).numpy()[0]
    gain = g.uniform(0.8, 1.2, (times, 5)) * np.exp(2j * np.pi * g.random((times, 5)))
    V = clean * ((gain[:, pairs[:, 0]] * gain[:, pairs[:, 1]].conj()).ravel() if gains else 1)
    V += noise * (g.standard_normal(len(V)) + 1j * g.standard_normal(len(V)))
    stations, time = np.tile(pairs, (times, 1)) + 1, np.repeat(400.0 * np.arange(times) / 86400, len(pairs))
    return Visibilities(uv, V, np.full(len(V), noise**-2), time, stations), clean


def model_on(uv: np.ndarray, images: np.ndarray) -> np.ndarray:
    A = Interferometer(uv.reshape(-1, 2), (PIXELS, PIXELS), SCALE, eps=1e-9)
    return to_complex(A(torch.from_numpy(images)[:, None])).numpy().reshape(len(images), -1, 3)


def test_closure_phases_do_not_know_the_gains():
    data, clean = observed(noise=1e-9)
    found = closure_phases(data)
    assert found["phase"].shape == (20 * 6,)  # five stations: six independent triangles
    assert np.allclose(found["uv"].sum(1), 0, atol=1)  # legs close
    residual = model_on(found["uv"], ring()[None]).prod(2)[0] * np.exp(-1j * found["phase"])
    assert np.abs(np.angle(residual)).max() < 1e-4
    assert np.abs(np.angle(data.V / clean)).max() > 3  # while phases are lost


def test_misfit_is_one_for_the_truth_and_large_for_the_sky_turned_round():
    """120 phases: chi2 / K has a standard deviation of 0.13; over 8 realisations 0.05. Without the floor's share."""
    ratios, turned = [], []
    for seed in range(8):
        found = closure_phases(observed(seed, noise=4e-3)[0])
        K = len(found["phase"])
        thermal = found["covariance"] - FLOOR**2 * np.eye(K)
        model = model_on(found["uv"], np.stack((ring(), ring()[::-1, ::-1])))
        ratios.append(closure_misfit(model, found["phase"], thermal)[0])
        turned.append(closure_misfit(model, found["phase"], found["covariance"])[1])
    assert np.mean(ratios) == pytest.approx(1, abs=0.2)
    assert min(turned) > 10


def test_weak_visibilities_make_no_triangle():
    data, _ = observed(noise=10.0)
    assert len(closure_phases(data)["phase"]) < 5


# ---------------------------------------------------------------------------- the ring


@pytest.mark.parametrize("diameter", [3.2e-5, 4.2e-5])
def test_diameter_of_a_ring_off_the_middle(diameter):
    image = np.roll(ring(diameter), (2, -1), (0, 1))
    assert ring_diameter(image, SCALE, (5e-6, 4e-5)) == pytest.approx(diameter, rel=0.05)


def as_uvfits(path: Path, data: Visibilities) -> str:
    """One channel and two copies of Stokes I."""
    groups = np.zeros((len(data.V), 1, 1, 1, 1, 2, 3))
    groups[..., 0] += data.V.real[:, None, None, None, None, None]
    groups[..., 1] -= data.V.imag[:, None, None, None, None, None]
    groups[..., 2] += data.weights[:, None, None, None, None, None]
    u, v = data.uv.T / FREQUENCY
    parameters = {"UU---SIN": u, "VV---SIN": v, "BASELINE": data.stations @ [256.0, 1.0], "_DATE": data.time}
    return write(path, groups, **parameters)


def test_an_image_is_checked_on_closure_phases_and_its_ring_measured(tmp_path):
    """From files to numbers: visibilities without gains are the data, closure phases of those with gains the check."""
    files = {
        "visibilities": as_uvfits(tmp_path / "a.uvfits", observed(1, gains=False)[0]),
        "closure_other": as_uvfits(tmp_path / "b.uvfits", observed(2)[0]),
    }
    images = np.stack(
        [ring(d, w, s) for d in (3e-5, 4e-5, 5e-5) for w in (5e-6, 8e-6) for s in (-0.5, 0.1, 0.5)]
    )
    images = (images / images.max())[:, None].astype(np.float32)
    settings = {"field": PIXELS * SCALE, "frequency": 227.0, "ring": [5e-6, 4e-5], "calibrate_weights": False}
    observation = RadioProblem.from_data(settings, files, moments_of(images))
    assert all(len(observation.attrs["axes"][name]) == a.ndim for name, a in observation.arrays.items())
    assert observation.attrs["numbers"]["closure_other_phases"] > 80
    io.write_observation(tmp_path / "observation.h5", observation)
    problem = RadioProblem(io.read_observation(tmp_path / "observation.h5"))
    truth = np.stack((ring(), ring()[::-1, ::-1]))[:, None] / problem.observation.attrs["flux_scale"]
    found = problem.residuals(torch.from_numpy(truth))
    assert found["chi2_dof"][0] == pytest.approx(1, abs=0.2) and found["chi2_dof"][1] > 10
    assert found["closure_other_chi2_dof"][0] < 1.2 < 10 < found["closure_other_chi2_dof"][1]
    assert found["ring_diameter_microarcsec"] == pytest.approx([40, 40], rel=0.05)
    panels = {panel.title: panel for panel in problem.panels(torch.from_numpy(truth))}
    assert panels["Baselines (u, v)"].unit == "gigawavelength"
