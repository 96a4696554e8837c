"""The Gaussian likelihood: its score, its decomposition, its compression."""

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood, compress
from skyscore.likelihoods.gaussian import modes
from skyscore.operators import MatrixOperator, SpectralOperator

DTYPE = torch.float64


@pytest.fixture
def problem():
    g = torch.Generator().manual_seed(0)
    A = torch.randn(7, 5, generator=g, dtype=DTYPE)
    y, std = torch.randn(7, generator=g, dtype=DTYPE), torch.rand(7, generator=g, dtype=DTYPE) + 0.5
    return A, y, std, GaussianLikelihood(MatrixOperator(A), y, std)


def test_score_is_the_formula(problem):
    A, y, std, likelihood = problem
    x = torch.randn(3, 5, dtype=DTYPE)
    assert torch.allclose(likelihood.score(x), ((y - x @ A.T) / std**2) @ A)


@pytest.mark.parametrize("c", [0.0, 0.3, 50.0])
def test_spectrum_solves_with_the_convolved_covariance(problem, c):
    A, y, std, likelihood = problem
    f, x = likelihood.spectrum(), torch.randn(3, 5, dtype=DTYPE)
    direct = torch.linalg.solve(torch.diag(std**2) + c * A @ A.T, (y - x @ A.T).T).T @ A
    assert torch.allclose((f.s * (f.d - f.s * (x @ f.V)) / (1 + c * f.s**2)) @ f.V.T, direct)


def test_compressed_likelihood_is_the_same_up_to_a_constant(problem):
    A, y, std, likelihood = problem
    W = A / std[:, None]
    small = compress(W.T @ W, W.T @ (y / std), (5,))
    x = torch.randn(4, 5, dtype=DTYPE)
    difference = likelihood.log_prob(x) - small.log_prob(x)
    assert torch.allclose(difference, difference[:1].expand(4))
    assert torch.allclose(likelihood.score(x), small.score(x))


def test_compression_drops_unobserved_directions():
    A = torch.zeros(3, 6, dtype=DTYPE)
    A[:, :3] = torch.eye(3, dtype=DTYPE)
    small = compress(A.T @ A, A.T @ torch.ones(3, dtype=DTYPE), (1, 2, 3))
    assert small.operator.out_shape == (3,) and small.operator.in_shape == (1, 2, 3)


def test_observations_of_a_batch(problem):
    A, y, std, _ = problem
    batch = GaussianLikelihood(MatrixOperator(A), torch.stack([y, 2 * y]), std)
    one = GaussianLikelihood(MatrixOperator(A), 2 * y, std)
    x = torch.randn(3, 5, dtype=DTYPE)
    assert torch.allclose(batch.observation(1).log_prob(x), one.log_prob(x))
    assert torch.allclose(batch.observation(1).spectrum().d, one.spectrum().d)


def test_back_projected_data(problem):
    A, y, std, likelihood = problem
    assert torch.allclose(likelihood.spectrum().back_projected, A.T @ (y / std**2))


def test_the_operator_of_a_decomposition_is_its_matrix():
    g = torch.Generator().manual_seed(0)
    V, s = (
        torch.linalg.qr(torch.randn(12, 5, generator=g, dtype=DTYPE))[0],
        torch.rand(5, generator=g, dtype=DTYPE),
    )
    A, x, y = (
        (V * s).T,
        torch.randn(2, 3, 1, 3, 4, generator=g, dtype=DTYPE),
        torch.randn(2, 5, generator=g, dtype=DTYPE),
    )
    operator = SpectralOperator(V, s, (1, 3, 4))
    assert torch.allclose(operator(x), x.flatten(2) @ A.T) and operator(x).shape == (2, 3, 5)
    assert torch.allclose(operator.adjoint(y), (y @ A).reshape(2, 1, 3, 4))
    assert torch.allclose(operator.matrix(), A)


def test_adjoint_of_a_matrix():
    operator = MatrixOperator(torch.randn(6, 12, dtype=DTYPE), (1, 3, 4))
    x, y = torch.randn(2, 1, 3, 4, dtype=DTYPE), torch.randn(2, 6, dtype=DTYPE)
    assert torch.allclose((operator(x) * y).sum(), (x * operator.adjoint(y)).sum())


@pytest.mark.parametrize("std", [0.0, -1.0])
def test_noise_must_be_positive(std):
    with pytest.raises(ValueError, match="positive"):
        GaussianLikelihood(MatrixOperator(torch.eye(2)), torch.zeros(2), std)


def test_data_must_fit_the_operator():
    with pytest.raises(ValueError, match="does not fit"):
        GaussianLikelihood(MatrixOperator(torch.eye(2)), torch.zeros(3), 1.0)


def test_modes_of_few_and_of_many_rows():
    for shape in ((20, 50), (50, 20)):
        W = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        V, s = modes(W)
        assert V.shape == (shape[1], 20) and torch.allclose((V * s**2) @ V.T, W.T @ W, atol=1e-10)
        assert torch.allclose(V.T @ V, torch.eye(20, dtype=torch.float64), atol=1e-10)
