"""The prior of a power spectrum: its denoiser, its draws, its file, and maps under it, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.train import train_prior
from skyscore import io
from skyscore.baselines.wiener import wiener_map
from skyscore.likelihoods.matrix_free import MatrixFreeLikelihood
from skyscore.likelihoods.noise import DiagonalNoise
from skyscore.operators.shear import ShearOperator
from skyscore.priors import FieldPrior, load_prior
from skyscore.priors.field import FieldDenoiser
from skyscore.samplers import sample
from skyscore.simulate.convergence import Convergence
from skyscore.statistics.cosine import cosine_matrix, cosine_power, measured_power
from skyscore.statistics.moments import moments_of

N = 12
SETTINGS = {
    "kind": "field",
    "pixels": N,
    "images": {"n": 16, "convergence": {}},
    "training": {"symmetry": "square"},
}


@pytest.fixture(scope="module")
def power() -> torch.Tensor:
    return torch.from_numpy(cosine_power(Convergence.covariance(N, {})))


@pytest.fixture(scope="module")
def prior(power) -> FieldPrior:
    return FieldPrior(FieldDenoiser(N, 1.0, power), precision="float32")


def test_its_denoiser_is_the_posterior_mean(prior, power):
    """C (C + sigma^2)^-1 x with the dense covariance of independent cosine modes."""
    TT = torch.kron(cosine_matrix(N), cosine_matrix(N))
    C = (TT.T * power.flatten()) @ TT
    x = torch.randn(3, 1, N, N, generator=torch.Generator().manual_seed(1))
    for sigma in (0.05, 1.0, 20.0):
        dense = torch.linalg.solve(C + sigma**2 * torch.eye(N * N), C @ x.double().flatten(1).T).T
        assert torch.allclose(prior.denoise(x, sigma).double().flatten(1), dense, atol=2e-5)


def test_its_draws_have_its_power(prior, power):
    """Mean square of each mode over 4,000 draws: within five standard errors, which one run in 10,000 would miss."""
    x = prior.sample(4000, torch.Generator().manual_seed(2))
    ratio = measured_power(x.double().numpy(), square=False) / power.numpy()
    assert np.abs(ratio - 1).max() < 5 * np.sqrt(2 / 4000)


def test_it_is_made_of_a_spectrum_without_training(tmp_path, power):
    """Rule train_prior writes the power of theory; a shape that does not fit is refused in one line."""
    io.write_dataset(tmp_path / "train.h5", train=Convergence.simulate(16, N, {}, 1))
    path = tmp_path / "kappa.safetensors"
    train_prior.main(tmp_path / "train.h5", path, name="kappa", settings=SETTINGS, seed=1, checkpoint_every=1)
    found = load_prior(path)
    assert isinstance(found, FieldPrior) and found.shape == (1, N, N) and found.config == SETTINGS
    assert torch.allclose(found.model.power.double(), power, rtol=1e-5)
    tensors, about = io.read_weights(path)
    io.write_weights(path, {"power": tensors["power"][:-1]}, about)
    with pytest.raises(io.InputError, match=r"kappa\.safetensors: weights do not fit their architecture"):
        load_prior(path)


def test_samples_of_a_map_with_holes_have_the_exact_posterior(prior, power):
    """Split Gibbs without a decomposition: mean and variance of the dense posterior within five standard errors."""
    g = torch.Generator().manual_seed(3)
    keep = torch.rand(N, N, generator=g) > 0.2
    operator, std = ShearOperator(keep, 3), torch.full((2 * int(keep.sum()),), 0.8, dtype=torch.float64)
    truth = prior.sample(1, g).double()
    y = operator(truth)[0] + std * torch.randn(len(std), generator=g, dtype=torch.float64)
    n = 1500
    options = {"steps": 480, "inner": 12, "matched": True, "hold": 0.6, "sigma_max": 30.0}
    options["generator"] = torch.Generator().manual_seed(4)
    found = sample("pnpdm", prior, MatrixFreeLikelihood(operator, y, std), n, **options).x.double().flatten(1)
    TT = torch.kron(cosine_matrix(N), cosine_matrix(N))
    C, A = (TT.T * power.flatten()) @ TT, operator.matrix()
    gain = torch.linalg.solve(A @ C @ A.T + torch.diag(std**2), A @ C).T
    mean, variance = gain @ y, (C - gain @ A @ C).diagonal()
    assert torch.allclose(wiener_map(operator, y, DiagonalNoise(std), power).flatten(), mean, atol=1e-6)
    assert ((found.mean(0) - mean) / (variance / n).sqrt()).abs().max() < 5
    assert (found.var(0) / variance - 1).abs().max() < 0.02 + 5 * (2 / n) ** 0.5


def test_the_spectrum_of_large_maps_is_measured_mode_by_mode():
    """Principal components of few images leave half of the power white; the mean squares of the modes do not."""
    images = Convergence.simulate(64, 32, {}, 5)
    exact = cosine_power(Convergence.covariance(32, {}))
    high = np.add.outer(np.arange(32), np.arange(32)) > 40
    assert moments_of(images).modes[high].mean() == pytest.approx(exact[high].mean(), rel=0.05)
    assert moments_of(images[:, :, :, :16]).modes is None
