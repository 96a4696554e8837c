"""The learned likelihood: sign and size of its score, batches, refusal; SLIC on parameters against exact posteriors."""

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood
from skyscore.operators import MatrixOperator
from skyscore.operators.base import LinearOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import SAMPLERS, sample

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
    wide = ScoreLikelihood(o, torch.zeros(4000, SIDE, SIDE).double(), learned.noise, None, LEVEL, std=STD)
    assert float(wide.diffused.std()) == pytest.approx(LEVEL * STD, rel=0.01)


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
