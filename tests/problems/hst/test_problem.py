"""The problem hst: one truth by two telescopes, measured noise, both likelihoods, new data, baselines, checks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from skyscore import io
from skyscore.baselines.richardson_lucy import richardson_lucy
from skyscore.operators import MatrixOperator
from skyscore.problems import load_problem
from skyscore.problems.hst import problem as hst
from skyscore.problems.hst.noise import MeasuredNoise, measure
from skyscore.problems.hst.problem import HSTProblem
from skyscore.problems.hst.simulated import draw_noise, moffat_psf
from skyscore.samplers import sample
from skyscore.statistics.moments import moments_of

SIDE = 8
SETTINGS = {"snr": 20.0, "dithers": [[0.0, 0.0], [0.5, 0.5]], "noise": {"tracks": 5.0}}


def blobs(n: int = 80, seed: int = 0) -> np.ndarray:
    """Images (n, 1, side, side) of two positive blobs each."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE]
    out = np.zeros((n, 1, SIDE, SIDE))
    for image in out[:, 0]:
        for _ in range(2):
            a, b = g.uniform(0.3 * SIDE, 0.7 * SIDE, 2)
            image += g.uniform(0.3, 1) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * g.uniform(1, 2) ** 2))
    return out


class WhiteNoise:
    """A noise model that is N(0.2, 1), with its exact denoiser."""

    shape = (1, SIDE, SIDE)

    def denoise(self, r, sigma):
        return 0.2 + (r - 0.2) / (1 + torch.as_tensor(sigma) ** 2)


@pytest.fixture(scope="module")
def observation():
    return HSTProblem.simulate(SETTINGS, blobs(), seed=3)


@pytest.fixture(scope="module")
def problem(observation):
    return load_problem(observation)


def test_observation_survives_a_file_and_is_its_seed_s(observation, problem, tmp_path):
    io.write_observation(tmp_path / "o.h5", observation)
    back = load_problem(io.read_observation(tmp_path / "o.h5"))
    assert back.shape == problem.shape == (1, SIDE, SIDE)
    x = torch.rand(2, 1, SIDE, SIDE, dtype=torch.float64)
    assert torch.allclose(back.likelihood.log_prob(x), problem.likelihood.log_prob(x))
    json.dumps(observation.attrs)
    again, other = (HSTProblem.simulate(SETTINGS, blobs(), seed) for seed in (3, 4))
    assert np.array_equal(again.arrays["images"], observation.arrays["images"])
    assert not np.array_equal(other.arrays["images"], observation.arrays["images"])


def test_psf_has_its_width_and_wings():
    psf = moffat_psf(6.0, 3.0)
    row = psf[len(psf) // 2]
    assert abs(psf.sum() - 1) < 1e-12
    assert np.isclose(row[len(row) // 2 + 3] / row.max(), 0.5)  # half maximum at half the width
    far = row[len(row) // 2 + 20] / row[len(row) // 2 + 10]
    assert 2**-6.0 < far < 2**-4.5  # r^-6 in the far wings


def test_measured_covariance_is_that_of_the_noise():
    """On striped, correlated noise without hits: against the sample covariance of other realisations."""
    law = {"tracks": 0.0, "hot": 0.0, "stripes": [0.5, 0.1]}
    mean, xi = measure(draw_noise(1500, 6, law, 1))
    noise = MeasuredNoise(mean, torch.from_numpy(xi))
    fresh = torch.from_numpy(draw_noise(3000, 6, law, 2)).double().flatten(1)
    C = noise.covariance(torch.eye(36, dtype=torch.float64))
    assert torch.allclose(C, torch.cov(fresh.T), atol=0.12)
    assert abs(float(noise.whiten(fresh - mean).square().mean()) - 1) < 0.03
    assert torch.allclose(noise.solve(noise.covariance(fresh[:3])), fresh[:3])


def test_covariance_of_two_exposures_is_block_diagonal():
    xi = torch.zeros(5, 5, dtype=torch.float64)
    xi[2, 2], xi[2, 1], xi[2, 3] = 2.0, 0.5, 0.5
    C = MeasuredNoise(0.0, xi, exposures=2).covariance(torch.eye(18, dtype=torch.float64))
    assert torch.allclose(C[:9, :9], C[9:, 9:]) and not bool(C[:9, 9:].any())
    assert torch.isclose(C[0, 1], torch.tensor(0.5).double()) and abs(float(C[0, 3])) < 1e-12


def test_compressed_likelihood_has_the_full_one_s_score(problem):
    A, C = (
        problem.operator.matrix(),
        problem.noise.covariance(torch.eye(2 * SIDE**2, dtype=torch.float64)),
    )
    x = torch.rand(3, 1, SIDE, SIDE, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    score = torch.linalg.solve(C, (problem.data - x.flatten(1) @ A.T).T).T @ A
    assert torch.allclose(problem.likelihood.score(x).flatten(1), score, atol=1e-4 * float(score.abs().max()))


def test_truths_fit_their_new_data_on_average(problem):
    """chi2 under the measured covariance is 1 whatever the shape of the noise's law."""
    x = torch.from_numpy(blobs(400, seed=5))
    y = problem.observe(x, torch.Generator().manual_seed(2))
    assert y.shape == (400, 2 * SIDE**2)
    assert abs(float(problem.chi2(x[:, None], y).mean()) - 1) < 0.12
    r = problem.residual_images(x[:, None], y)
    assert r.shape == (400, 1, 2, 1, SIDE, SIDE)
    fresh = draw_noise(2000, SIDE, SETTINGS["noise"], 9)
    assert abs(float(r.mean()) - fresh.mean()) < 0.1 and abs(float(r.var()) / fresh.var() - 1) < 0.12


def test_noise_may_be_given(problem):
    x, noise = torch.zeros(2, 1, SIDE, SIDE), torch.full((5, 1, SIDE, SIDE), 2.0)
    y = problem.observe(x, torch.Generator().manual_seed(0), noise)
    assert torch.allclose(y, torch.full_like(y, 2.0 * problem.std))


def test_ensemble_likelihood_is_that_of_each_observation(observation, problem):
    images = torch.from_numpy(observation.arrays["images"]).reshape(1, -1)
    one, many = problem.likelihood, problem.likelihood_of(torch.cat((images, images + 0.1)))
    x = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64)
    assert torch.allclose(
        many.observation(0).score(x), one.score(x), atol=1e-5 * float(one.score(x).abs().max())
    )


def test_score_likelihood_of_white_noise_is_the_gaussian_one(problem):
    y = problem.observe(torch.from_numpy(blobs(3)), torch.Generator().manual_seed(0))
    learned = problem.score_likelihood(WhiteNoise(), y, level=0.4)
    x = torch.rand(3, 1, SIDE, SIDE, dtype=torch.float64)
    A, std = problem.operator.matrix(), problem.std
    r = learned.diffused.flatten(1) - 0.2 * std - x.flatten(1) @ A.T
    assert torch.allclose(learned.score(x).flatten(1), r @ A / (std**2 * (1 + 0.4**2)))
    assert learned.surrogate.batched and not learned.has_density


def test_noise_model_of_another_frame_is_refused(problem):
    other = WhiteNoise()
    other.shape = (1, 16, 16)
    with pytest.raises(ValueError, match="frames"):
        problem.score_likelihood(other)


class Prior:
    """N(0.2, 0.1^2) per pixel."""

    def denoise(self, x, sigma):
        gain = 0.01 / (0.01 + torch.as_tensor(sigma).reshape(-1, *[1] * (x.ndim - 1)) ** 2)
        return 0.2 + gain * (x - 0.2)


def test_slic_decomposes_nothing_but_its_own_equation(observation, monkeypatch):
    def minutes(W, rtol=0.0):
        raise AssertionError("decomposed")

    monkeypatch.setattr(hst, "modes", minutes)
    fresh = HSTProblem(observation)
    likelihood = fresh.score_likelihood(WhiteNoise()).to(dtype=torch.float32)
    assert sample("slic", Prior(), likelihood, 2, steps=4).x.shape == (2, 1, SIDE, SIDE)
    with pytest.raises(AssertionError, match="decomposed"):  # guided by the Gaussian one
        sample("slicgibbs", Prior(), likelihood, 2, steps=4, turns=1)


def test_slic_sampler_runs_on_the_problem(problem):
    likelihood = problem.score_likelihood(WhiteNoise()).to(dtype=torch.float32)
    gibbs = sample("slicgibbs", Prior(), likelihood, 4, steps=8, turns=3)
    assert gibbs.x.shape == (4, 1, SIDE, SIDE) and gibbs.diagnostics["noise_nfe"] == 2 * 3 * 6
    samples = sample("slic", Prior(), likelihood, 4, steps=8)
    assert samples.x.shape == (4, 1, SIDE, SIDE)
    assert samples.diagnostics["noise_nfe"] == 2 * samples.nfe  # of two exposures
    found = problem.residuals(samples.x)
    assert {"chi2_dof", "sharp_correlation", "resolved_k", "rmse"} <= found.keys()
    panels = problem.panels(samples.x)
    assert panels[0].title == "HST-like exposure" and len(panels) == 11


def test_truth_agrees_with_the_check_image(observation, problem):
    found = problem.residuals(torch.from_numpy(observation.arrays["truth"])[None].repeat(2, 1, 1, 1))
    assert abs(float(found["sharp_chi2_dof"].mean()) - 1) < 0.5 and found["sharp_correlation"] > 0.95
    assert found["rmse"] == 0


def test_richardson_lucy_sharpens_positive_scenes_and_stops():
    t = torch.arange(12, dtype=torch.float64)
    A = torch.exp(-0.5 * ((t[:, None] - t) / 1.5) ** 2)
    operator = MatrixOperator(A / A.sum(1, keepdim=True))
    x = 0.1 + torch.exp(-0.5 * ((t - 6) / 0.8) ** 2)
    y = operator(x[None])
    sharp, made = richardson_lucy(operator, y, 0.0, 300)
    assert made == 300 and float((sharp - x).abs().max()) < 0.5 * float((y - x).abs().max())
    assert bool((sharp > 0).all())
    _, made = richardson_lucy(operator, y, 0.05, 300)
    assert 0 < made < 300


def test_baselines_improve_on_nothing(observation):
    problem = load_problem(
        HSTProblem.simulate({**SETTINGS, "noise": {"tracks": 0.0, "hot": 0.0}}, blobs(), 3)
    )
    truth = problem.observation.arrays["truth"][0]
    found = problem.baselines(moments_of(blobs(200, seed=7)))
    assert set(found) == {"richardson-lucy", "wiener"}
    rmse = {name: np.sqrt(((image - truth) ** 2).mean()) for name, image in found.items()}
    assert rmse["wiener"] < 0.5 * truth.std() and rmse["richardson-lucy"] < truth.std()
