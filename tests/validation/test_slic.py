"""The learned likelihood: sign and size of its score, batches, refusal; SLIC on parameters against exact posteriors."""

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood
from skyscore.operators import MatrixOperator
from skyscore.operators.base import LinearOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import SAMPLERS, sample
from skyscore.simulate.noise import Noise
from skyscore.validation.noise_laws import StudentLaw, measured_gaussian, noise_map
from skyscore.validation.parametric import Blob, Linearised
from skyscore.validation.slic_parameters import (
    coverage,
    evaluations,
    learned_and_gaussian,
    linear_control,
    student_control,
)

SIDE, STD, FLUX, LEVEL = 6, 0.7, 2.5, 0.4


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Images(LinearOperator):
    """A dense matrix whose data are one image."""

    def __init__(self, A):
        self.A, self.in_shape, self.out_shape = A, (1, 4, 4), (SIDE, SIDE)

    def __call__(self, x):
        return (x.flatten(1) @ self.A.T.to(x)).reshape(-1, SIDE, SIDE)

    def adjoint(self, y):
        return (y.flatten(1) @ self.A.to(y)).reshape(-1, 1, 4, 4)


class GaussianNoise:
    """A correlated Gaussian noise model, whose score is known at any level."""

    def __init__(self):
        B = randn(SIDE**2, SIDE**2, seed=3) / SIDE
        self.law = GaussianPrior(0.3 * torch.ones(SIDE**2).double(), B @ B.T + torch.eye(SIDE**2).double())

    def denoise(self, x, sigma):
        return self.law.denoise(x.double().flatten(1), sigma).reshape(x.shape).to(x)


@pytest.fixture
def learned():
    operator, noise = Images(randn(SIDE**2, 16)), GaussianNoise()
    y = randn(SIDE, SIDE, seed=1)
    return ScoreLikelihood(operator, y, noise, surrogate_of(operator, y), LEVEL, flux=FLUX, std=STD, seed=5)


def surrogate_of(operator, y):
    flat = MatrixOperator(FLUX * operator.A, operator.in_shape)
    return GaussianLikelihood(flat, y.flatten(start_dim=y.ndim - 2), STD)


def exact_log_prob(likelihood, x):
    """log N(y_tau; A flux x + mean, C + tau^2) by hand."""
    law, o = likelihood.noise.law, likelihood.operator
    C = STD**2 * (law.covariance + LEVEL**2 * torch.eye(SIDE**2))
    r = (likelihood.diffused - FLUX * o(x)).flatten(1) - STD * law.mean
    return -0.5 * (r * torch.linalg.solve(C, r.T).T).sum(1)


def test_the_score_has_the_sign_and_size_of_the_densitys_gradient(learned):
    x = randn(5, 1, 4, 4, seed=2).requires_grad_()
    gradient = torch.autograd.grad(exact_log_prob(learned, x).sum(), x)[0]
    assert torch.allclose(learned.score(x.detach()), gradient, rtol=1e-8)
    towards = x.detach() + 1e-3 * learned.score(x.detach())
    assert bool((exact_log_prob(learned, towards) > exact_log_prob(learned, x)).all())


def test_the_diffusion_noise_is_drawn_once(learned):
    o = learned.operator
    again = ScoreLikelihood(o, learned.y, learned.noise, learned.surrogate, LEVEL, flux=FLUX, std=STD, seed=5)
    assert torch.equal(again.diffused, learned.diffused)
    many = randn(4000, SIDE, SIDE, seed=7)
    wide = ScoreLikelihood(o, many, learned.noise, None, LEVEL, std=STD)
    assert float((wide.diffused - many).std()) == pytest.approx(LEVEL * STD, rel=0.01)


def test_a_batch_of_observations_is_its_observations(learned):
    y = randn(3, SIDE, SIDE, seed=4)
    surrogate = surrogate_of(learned.operator, y)
    batch = ScoreLikelihood(learned.operator, y, learned.noise, surrogate, LEVEL, flux=FLUX, std=STD)
    x = randn(3, 1, 4, 4, seed=2)
    assert batch.batched and not learned.batched and learned.observation(0) is learned
    for o in range(3):
        one = batch.observation(o)
        assert torch.allclose(one.score(x[o : o + 1]), batch.score(x)[o : o + 1])
        assert torch.equal(one.surrogate.y, y[o].flatten())
    moved = batch.to(dtype=torch.float32)
    assert moved.score(x.float()).dtype == torch.float32 and batch.y.dtype == torch.float64


def test_a_sampler_that_needs_a_density_refuses_in_one_line(learned):
    prior = GaussianPrior(torch.zeros(16).double(), torch.eye(16).double())
    for name in (name for name, c in SAMPLERS.items() if c.needs_density):
        with pytest.raises(ValueError, match=f"^{name}: needs a density.*likelihood.surrogate") as error:
            sample(name, prior, learned, 2)
        assert "\n" not in str(error.value)
    assert not learned.has_density and learned.surrogate.has_density


def test_mistakes_are_named(learned):
    with pytest.raises(ValueError, match="does not fit"):
        ScoreLikelihood(learned.operator, randn(5, 5), learned.noise, None)
    with pytest.raises(ValueError, match="must be positive"):
        ScoreLikelihood(learned.operator, learned.y, learned.noise, None, level=0.0)


# ---------------------------------------------------------------------------- on parameters

SETTINGS = {
    "simulations": 24,
    "chains": 4,
    "burn": 30,
    "steps": 60,
    "thin": 4,
    "amplitude": 6.0,
    "size": 1.8,
    "level": 0.3,
}


def test_the_models_derivatives_and_meaning():
    model = Blob(24, 5.0, 2.0)
    u = randn(4, 6)
    step = 1e-5 * torch.eye(6).double()
    numeric = torch.stack([(model(u + e) - model(u - e)) / 2e-5 for e in step], -1)
    assert torch.allclose(model.jacobian(u), numeric, atol=1e-6)
    theta = torch.tensor(
        [2.0, 1.5, -2.5, 0.5, 0.0, 0.0]
    ).double()  # at the middle of pixel (row 9, column 13)
    image = model(((theta - model.middle) / model.sigma)[None])[0]
    assert int(image.argmax()) == 9 * 24 + 13 and float(image.max()) == pytest.approx(2.718281828**2)
    assert float(image.sum()) == pytest.approx(2 * torch.pi * 2.718281828**3, rel=1e-3)  # 2 pi A s^2
    linear = Linearised(model)
    assert torch.allclose(linear(1e-4 * u), model(1e-4 * u), atol=1e-6)


@pytest.mark.parametrize("law", [StudentLaw(3.0, 0.8), measured_gaussian(randn(40, 5, 5))])
def test_scores_of_known_laws_are_gradients(law):
    r = 2 * randn(3, 5, 5, seed=2)
    r.requires_grad_()
    assert torch.allclose(torch.autograd.grad(law.log_prob(r).sum(), r)[0], law.score(r), rtol=1e-6)


def test_the_measured_gaussian_has_the_moments_of_the_noise():
    x = Noise.simulate(16000, 8, {"track_length": 0.5}, 0)[:, 0].astype(float)
    law = measured_gaussian(torch.from_numpy(x))
    empirical = torch.from_numpy(x).flatten(1).T.cov()
    C = law.root @ law.root.T
    assert law.mean == pytest.approx(x.mean()) and float(C.trace() / empirical.trace()) == pytest.approx(
        1, rel=0.05
    )
    assert float((C - empirical).norm() / empirical.norm()) < 0.1
    draws = law.sample(4000, torch.Generator().manual_seed(0))
    assert float((draws.flatten(1).T.cov() - C).norm() / C.norm()) < 0.1


def test_a_noise_map_has_no_outliers_and_no_correlation():
    """Standard normal with a tenth of its pixels hit: clipping leaves its own variance, less a per mille."""
    x = randn(200, 8, 8)
    x[randn(200, 8, 8, seed=1) > 1.28] += 30
    law = noise_map(x, 4.0)
    C = law.root @ law.root.T
    assert float(C[0, 0]) == pytest.approx(1, abs=0.04) and law.mean == pytest.approx(0, abs=0.03)
    assert float((C - C[0, 0] * torch.eye(64)).abs().max()) < 1e-12


def test_gaussian_noise_by_line_integrals_has_the_exact_posterior():
    """The control with a closed form: means to a few hundredths of a deviation, widths to a few per cent."""
    fits, truth, mean, sd = linear_control(Noise.simulate(200, 16, {}, 0), SETTINGS, 1)
    assert ((fits.mean - mean) / sd).mean(0).abs().max() < 0.1
    assert float((fits.sd / sd).median()) == pytest.approx(1, abs=0.05)
    assert 0.45 < fits.acceptance < 0.75 and fits.rhat < 1.1
    assert ((mean - truth) / sd).square().mean() == pytest.approx(
        1, abs=0.4
    )  # the closed form itself is calibrated


def test_student_noise_by_its_score_alone_is_that_by_its_density():
    """And the Gaussian of the same variance is visibly wider on the same data."""
    fits, _ = student_control(SETTINGS, 2)
    score, exact, gaussian = (fits[name] for name in ("score", "exact", "gaussian"))
    assert float((score.sd / exact.sd).median()) == pytest.approx(1, abs=0.06)
    assert ((score.mean - exact.mean) / exact.sd).mean(0).abs().max() < 0.15
    assert float((gaussian.sd / exact.sd).median()) > 1.25


class Oracle:
    """A noise model whose score is that of Student-t noise: what perfect training would give at a small level."""

    law = StudentLaw(3.0, 0.8)

    def denoise(self, x, sigma):
        return x + float(sigma) ** 2 * self.law.score(x)


def test_a_likelihood_that_is_learned_perfectly_is_calibrated_and_sharper():
    """The whole path with a noise model that is right: sharper than the measured Gaussian, and its coverage right."""
    noise = Oracle.law.sample(400, (16, 16), torch.Generator().manual_seed(0))[:, None].numpy()
    settings = {**SETTINGS, "simulations": 64, "chains": 2, "level": 0.02}
    fits, truth, data = learned_and_gaussian(Oracle(), noise, settings, 4)
    gaussian = fits["gaussian"]
    found = {name: coverage(f, truth, gaussian.sd.median(0).values) for name, f in fits.items()}
    assert found["learned"].inside and found["learned"].mean_deviation < 0.08
    assert float((fits["learned"].sd / gaussian.sd).median()) < 0.85
    assert data.shape == (64, 16, 16) and evaluations(settings) == 64 * 2 * 2 * 95
