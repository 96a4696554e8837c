"""What every sampler keeps to: counts, seeds, batches, shapes, clear errors; and the solvers that they share."""

import math

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import SAMPLERS, sample
from skyscore.samplers.counting import CountedPrior, largest_deviation
from skyscore.samplers.guidance.mmps import conjugate_gradient
from skyscore.samplers.particles.population import systematic
from tests.helpers.closed_forms import bimodal, run, scalar_problem

COMMON = [name for name, sampler in SAMPLERS.items() if sampler.needs_density]


class Opaque:
    """A prior that shows nothing but its denoiser."""

    def __init__(self, prior):
        self._prior, self.calls = prior, 0

    def denoise(self, x, sigma):
        self.calls += len(x)
        return self._prior.denoise(x, sigma)


@pytest.mark.parametrize("name", COMMON)
def test_a_sampler_sees_only_the_denoiser(name):
    prior, likelihood = bimodal()
    prior.jacobian = None  # in closed form it rounds in another way: tests/priors/test_priors.py
    opaque = Opaque(prior)
    bare = run(name, prior, likelihood, 30, steps=40)
    wrapped = run(name, opaque, likelihood, 30, steps=40)
    assert torch.equal(bare.x, wrapped.x)
    assert bare.nfe == wrapped.nfe == opaque.calls / 30  # counted truly
    assert bare.nfe <= 40
    # a gradient through the prior at every level, or a few products in all: questions about the prior
    assert (bare.nvjp > 1) == SAMPLERS[name].needs_vjp


@pytest.mark.parametrize("name", COMMON)
def test_same_seed_same_samples_and_another_batch_too(name):
    prior, likelihood = scalar_problem(1.0)
    options = {"steps": 40, "generator": None}

    def go(batch):
        return sample(name, prior, likelihood, 40, **{**options, "batch": batch}).x

    assert torch.equal(go(40), go(40))
    assert torch.allclose(go(40), go(7), atol=1e-9)


@pytest.mark.parametrize("name", COMMON)
def test_a_batch_of_observations(name):
    prior, _ = scalar_problem(1.0)
    y = torch.tensor([[-1.0], [0.0], [2.0]]).double()
    likelihood = GaussianLikelihood(MatrixOperator(torch.eye(1).double()), y, 0.7)
    x = run(name, prior, likelihood, 200, steps=40).x
    assert x.shape == (3, 200, 1)
    means = x.mean((1, 2))
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize("name", COMMON)
def test_a_population_does_not_depend_on_its_batch(name):
    """Observations sampled together or each by itself with the same stream: the same samples, to rounding."""
    g = torch.Generator().manual_seed(6)
    prior = GaussianPrior(torch.ones(5).double(), torch.diag(torch.rand(5, generator=g, dtype=torch.float64)))
    operator = MatrixOperator(torch.randn(3, 5, generator=g, dtype=torch.float64))
    likelihood = GaussianLikelihood(operator, torch.zeros(3).double(), 0.3)
    y = likelihood.y + torch.tensor([[0.0], [1.0], [-2.0]], dtype=torch.float64)
    batch = GaussianLikelihood(likelihood.operator, y, likelihood.std)
    together = run(name, prior, batch, n=6, steps=40, seed=5).x
    seeds = torch.randint(2**62, (3,), generator=torch.Generator().manual_seed(5)).tolist()
    for o, seed in enumerate(seeds):
        alone = run(name, prior, batch.observation(o), n=6, steps=40, seed=seed).x
        assert torch.allclose(together[o], alone, rtol=1e-9, atol=1e-9)


class Trained(Opaque):
    """As a network: right up to its first level, wrong beyond it."""

    sigma_max = 20.0

    def denoise(self, x, sigma):
        return super().denoise(x, sigma) if float(sigma) <= self.sigma_max else x


class Linear(Trained):
    """A network beside a linear part that says what the network does not."""

    def denoise(self, x, sigma):
        return x

    def linear_covariance(self, x, sigma):
        return 4.0 * x


@pytest.mark.parametrize("deviation", [0.05, 2.0, 15.0])
def test_the_first_level_follows_from_the_largest_deviation(deviation):
    covariance = torch.diag(torch.tensor([1e-4, 1e-3, deviation**2], dtype=torch.float64))
    prior = GaussianPrior(torch.zeros(3, dtype=torch.float64), covariance)
    v = torch.ones(1, 3, dtype=torch.float64)
    for model in (prior, Opaque(prior), Trained(prior)):
        assert largest_deviation(CountedPrior(model, (3,)), v) == pytest.approx(deviation, rel=1e-3)
    assert largest_deviation(CountedPrior(Linear(prior), (3,)), v) == pytest.approx(2.0)


def test_images_keep_their_shape():
    prior = GaussianPrior(torch.zeros(12), torch.eye(12))

    class Images:
        def denoise(self, x, sigma):
            return prior.denoise(x.flatten(1), sigma).reshape(x.shape)

    likelihood = GaussianLikelihood(MatrixOperator(torch.eye(12)[:5], (1, 3, 4)), torch.zeros(5), 0.1)
    assert run("mmps", Images(), likelihood, 6, steps=10).x.shape == (6, 1, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mmpz"}, "did you mean 'mmps'"),
        ({"name": "mmps", "cg_stepz": 3}, "unknown option 'cg_stepz'"),
        ({"name": "pigdm", "steps": 1}, "at least 3"),
        ({"name": "mmps", "steps": 3}, "at least 4"),
        ({"name": "mmps", "n": 0}, "at least 1"),
        ({"name": "dps", "step": "scor"}, "normalised"),
        ({"name": "tds", "twist": "full"}, "jacobian"),
        ({"name": "pigdm", "prior_variance": 0.0}, "positive"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    prior, likelihood = scalar_problem(1.0)
    arguments = {"n": 5, **arguments}
    with pytest.raises(ValueError, match=message):
        sample(arguments.pop("name"), prior, likelihood, arguments.pop("n"), **arguments)


def test_collapsed_particles_are_announced():
    prior, likelihood = bimodal()
    sharp = GaussianLikelihood(likelihood.operator, torch.tensor([8.0]).double(), 1e-3)
    with pytest.warns(UserWarning, match="collapsed"):
        run("tds", prior, sharp, 60, steps=5, twist="level")


def test_conjugate_gradient_solves():
    g = torch.Generator().manual_seed(0)
    R = torch.randn(4, 6, 6, generator=g).double()
    A, b = R @ R.mT + torch.eye(6), torch.randn(4, 6, generator=g).double()
    v, w = conjugate_gradient(lambda p: ((A @ p[..., None])[..., 0], 3 * p), b, lambda r: r, 30, 1e-12)
    assert torch.allclose(v, torch.linalg.solve(A, b))
    assert torch.allclose(w, 3 * v)


def test_conjugate_gradient_stops_where_there_is_no_covariance():
    """1 + K with a K that is not positive: steps would be of any length; the other vector of the batch goes on."""
    K = torch.stack([torch.diag(torch.tensor([3.0, 1.0, -1.001])), torch.diag(torch.tensor([3.0, 1.0, 0.5]))])
    b = torch.tensor([[0.1, 0.1, 1.0], [0.1, 0.1, 1.0]])

    def A(v):
        return v + (K @ v[..., None])[..., 0], v

    v, _ = conjugate_gradient(A, b, lambda r: r, 5, 1e-6)
    assert v[0].norm() < 2
    assert torch.allclose(v[1], b[1] / (1 + K[1].diagonal()), atol=1e-5)


def test_conjugate_gradient_survives_an_indefinite_matrix():
    A, b = torch.diag(torch.tensor([1.0, -1.0])), torch.tensor([[1.0, 2.0], [1.0, 0.0]])
    v, _ = conjugate_gradient(lambda p: (p @ A, p), b, lambda r: r, 10, 1e-9)
    assert torch.isfinite(v).all() and torch.allclose(v[1], torch.tensor([1.0, 0.0]))


def test_systematic_resampling_keeps_each_particle_in_proportion():
    log_w = torch.log(torch.tensor([0.5, 0.25, 0.125, 0.125]))
    counts = torch.bincount(
        systematic(log_w.repeat_interleave(2) - math.log(2), torch.Generator().manual_seed(0))
    )
    assert counts.reshape(4, 2).sum(1).tolist() == [4, 2, 1, 1]


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in COMMON])
def test_corrections_for_learned_noise_refuse_gaussian_noise(name):
    with pytest.raises(ValueError, match=f"{name}: corrects for a learned noise.*use mmps"):
        run(name, *scalar_problem(1.0), n=2)
