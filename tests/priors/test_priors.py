"""Priors against numerical derivatives, direct formulas and each other."""

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior, GaussianPrior
from skyscore.samplers.counting import CountedPrior

DTYPE = torch.float64


def random_covariance(D, seed, K=None):
    g = torch.Generator().manual_seed(seed)
    R = torch.randn(*([K] if K else []), D, D, generator=g, dtype=DTYPE)
    return R @ R.mT / D + 0.1 * torch.eye(D, dtype=DTYPE)


@pytest.fixture
def mixture():
    g = torch.Generator().manual_seed(0)
    weights, means = torch.tensor([0.2, 0.5, 0.3], dtype=DTYPE), torch.randn(3, 4, generator=g, dtype=DTYPE)
    return GaussianMixturePrior(weights, means, random_covariance(4, 1, 3))


def log_density(prior, x, sigma):
    """log p_sigma(x) written out with torch's own multivariate normal."""
    C = prior.covariances + sigma**2 * torch.eye(x.shape[1], dtype=x.dtype)
    parts = torch.distributions.MultivariateNormal(prior.means, C).log_prob(x[:, None])
    return torch.logsumexp(parts + prior.weights.log(), dim=1)


@pytest.mark.parametrize("sigma", [0.05, 0.7, 5.0])
def test_mixture_score_is_the_gradient_of_its_density(mixture, sigma):
    x = torch.randn(6, 4, dtype=DTYPE, requires_grad=True)
    score = torch.autograd.grad(log_density(mixture, x, sigma).sum(), x)[0]
    assert torch.allclose((mixture.denoise(x, sigma) - x) / sigma**2, score, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.01, 0.7, 5.0])
def test_mixture_jacobian_is_that_of_autograd(mixture, sigma):
    x = torch.randn(6, 4, dtype=DTYPE, generator=torch.Generator().manual_seed(4))
    J = mixture.jacobian(x, sigma)
    for i, one in enumerate(x):
        found = torch.autograd.functional.jacobian(lambda v: mixture.denoise(v[None], sigma)[0], one)
        assert torch.allclose(J[i], found, rtol=1e-7, atol=1e-9)


def test_jacobians_in_closed_form_count_as_products(mixture):
    """As a network's would: one evaluation and as many products as pixels, whoever knows its Jacobian."""

    class Network:
        shape, denoise = mixture.shape, staticmethod(mixture.denoise)

    x = torch.randn(5, 4, dtype=DTYPE, generator=torch.Generator().manual_seed(5))
    both = [CountedPrior(prior, (4,), 3) for prior in (mixture, Network())]
    (D, J), (D_n, J_n) = (counted.denoise_jacobian(x, 0.3) for counted in both)
    assert torch.allclose(D, D_n) and torch.allclose(J, J_n)
    assert [(c.nfe, c.nvjp) for c in both] == [(5, 20)] * 2


def test_sigma_per_image(mixture):
    x, sigma = torch.randn(3, 4, dtype=DTYPE), torch.tensor([0.1, 1.0, 10.0], dtype=DTYPE)
    together = mixture.denoise(x, sigma)
    for i in range(3):
        assert torch.allclose(together[i : i + 1], mixture.denoise(x[i : i + 1], float(sigma[i])))


def test_gaussian_denoiser_is_the_wiener_filter():
    C, mu, x, sigma = (
        random_covariance(5, 2),
        torch.arange(5, dtype=DTYPE),
        torch.randn(7, 5, dtype=DTYPE),
        0.6,
    )
    wiener = mu + (x - mu) @ torch.linalg.solve(C + sigma**2 * torch.eye(5, dtype=DTYPE), C)
    assert torch.allclose(GaussianPrior(mu, C).denoise(x, sigma), wiener)


def test_draws_have_the_moments_of_the_mixture(mixture):
    n = 200_000
    x = mixture.sample(n, torch.Generator().manual_seed(3))
    mean = mixture.weights @ mixture.means
    between = torch.einsum("k,kd,ke->de", mixture.weights, mixture.means - mean, mixture.means - mean)
    cov = torch.einsum("k,kde->de", mixture.weights, mixture.covariances) + between
    assert torch.allclose(x.mean(0), mean, atol=5 * float(cov.diagonal().max() / n) ** 0.5)
    assert torch.allclose(x.T.cov(), cov, atol=6 * float(cov.diagonal().max()) * (2 / n) ** 0.5)


def test_posterior_of_a_mixture_by_quadrature():
    prior = GaussianMixturePrior(
        torch.tensor([0.3, 0.7], dtype=DTYPE),
        torch.tensor([[-2.0], [1.5]], dtype=DTYPE),
        torch.tensor([[[0.09]], [[0.25]]], dtype=DTYPE),
    )
    likelihood = GaussianLikelihood(
        MatrixOperator(torch.tensor([[2.0]], dtype=DTYPE)), torch.tensor([0.4]).double(), 1.5
    )
    x = torch.linspace(-6, 6, 20_001, dtype=DTYPE)[:, None]
    density = (log_density(prior, x, 0.0) + likelihood.log_prob(x)).exp()
    exact = density / (density.sum() * (x[1] - x[0]))
    assert torch.allclose(log_density(prior.posterior(likelihood), x, 0.0).exp(), exact, atol=1e-6)


def test_posterior_does_not_depend_on_how_the_noise_is_written(mixture):
    A, y = torch.randn(3, 4, dtype=DTYPE), torch.randn(3, dtype=DTYPE)
    std = torch.tensor([0.5, 1.0, 2.0], dtype=DTYPE)
    a = mixture.posterior(GaussianLikelihood(MatrixOperator(A), y, std))
    b = mixture.posterior(GaussianLikelihood(MatrixOperator(A / std[:, None]), y / std, 1.0))
    assert torch.allclose(a.means, b.means) and torch.allclose(a.weights, b.weights)


@pytest.mark.parametrize(
    ("weights", "covariance", "message"),
    [([1.0, -1.0], 1.0, "positive"), ([0.5, 0.5], -1.0, "negative eigenvalue"), ([1.0], 1.0, "weights")],
)
def test_impossible_mixtures_are_refused(weights, covariance, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixturePrior(
            torch.tensor(weights), torch.zeros(2, 3), covariance * torch.eye(3).expand(2, 3, 3)
        )


def test_leaving_out_negligible_components_changes_nothing():
    g = torch.Generator().manual_seed(1)
    means = 50 * torch.randn(4, 3, generator=g, dtype=DTYPE)
    prior = GaussianMixturePrior(torch.ones(4).double(), means, random_covariance(3, 1, 4))
    x = (
        means[:2] + torch.randn(2, 3, generator=g, dtype=DTYPE)
    ).requires_grad_()  # two components have no image
    assert torch.allclose(prior.denoise(x, 0.5), prior.denoise(x.detach(), 0.5), atol=1e-14)
