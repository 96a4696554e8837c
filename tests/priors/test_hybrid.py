"""The hybrid prior: its Gaussian part against dense algebra, its network's place, its file."""

import numpy as np
import pytest
import torch
from scipy.fft import dctn

from skyscore import io
from skyscore.diffusion.training import train
from skyscore.priors import GaussianPrior, HybridPrior, NeuralPrior, load_prior
from skyscore.priors.hybrid import HybridDenoiser
from skyscore.simulate.convergence import Convergence
from skyscore.statistics.cosine import cosine_matrix, cosine_power, measured_power

NETWORK = {"patch": 2, "channels": [16, 16], "blocks": 1, "attention": 4}
N = 16


@pytest.fixture(scope="module")
def covariance():
    return Convergence.covariance(N, {})


def dense(covariance):
    i, j = np.divmod(np.arange(N * N), N)
    return torch.from_numpy(covariance[abs(i[:, None] - i), abs(j[:, None] - j)])


def fresh(covariance, seed=0):
    torch.manual_seed(seed)
    return HybridDenoiser(N, 0.8, NETWORK, torch.from_numpy(cosine_power(covariance)))


def test_cosine_modes_are_those_of_scipy():
    x = np.random.default_rng(0).standard_normal((3, N, N))
    T = cosine_matrix(N).numpy()
    assert np.allclose(T @ x @ T.T, dctn(x, axes=(1, 2), norm="ortho"))


def test_theory_power_of_the_modes_is_the_diagonal_of_the_transformed_covariance(covariance):
    T = torch.kron(cosine_matrix(N), cosine_matrix(N))
    assert np.allclose(cosine_power(covariance).ravel(), (T @ dense(covariance) @ T.T).diagonal())


def test_measured_power_is_that_of_theory(covariance):
    ratio = measured_power(Convergence.simulate(1600, N, {}, 1)) / cosine_power(covariance)
    assert abs(ratio.mean() - 1) < 0.02 and np.abs(ratio - 1).max() < 0.35


@pytest.mark.parametrize("sigma", [0.1, 1.0, 10.0])
def test_an_untrained_hybrid_is_nearly_the_wiener_filter_of_the_full_covariance(covariance, sigma):
    """The off-diagonal rest of the covariance in cosine modes costs less than one per cent of the error's variance."""
    prior, exact = (
        HybridPrior(fresh(covariance)),
        GaussianPrior(torch.zeros(N * N).double(), dense(covariance)),
    )
    x0 = exact.sample(250, torch.Generator().manual_seed(0))
    x = x0 + sigma * torch.randn(x0.shape, generator=torch.Generator().manual_seed(1))
    ours = prior.denoise(x.reshape(-1, 1, N, N), sigma).reshape(x.shape)
    error, floor = ((d - x0).square().mean() for d in (ours, exact.denoise(x, sigma)))
    assert 1 - 1e-3 < float(error / floor) < 1.01


def test_samples_of_an_untrained_hybrid_have_the_power_of_theory(covariance):
    x = HybridPrior(fresh(covariance), precision="float32").sample(
        250, torch.Generator().manual_seed(0), steps=32
    )
    ratio = measured_power(x.double().numpy()) / cosine_power(covariance)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert ratio[:3, :3].mean() == pytest.approx(1, abs=0.1)  # a tenth of sigma_max^2 and more


def test_measured_power_keeps_rows_and_columns_apart():
    """Stripes along rows: each row one offset. Their power is in modes that are constant along a row."""
    images = np.random.default_rng(0).standard_normal((400, 1, N, 1)) * np.ones((1, N))
    power = measured_power(images, square=False)
    assert power[:, 0].mean() == pytest.approx(N, rel=0.05) and power[:, 1:].max() < 1e-12
    assert np.allclose(measured_power(images), (power + power.T) / 2)


def test_the_mean_is_where_the_field_lies(tmp_path, covariance):
    """D, draws and file of an untrained hybrid of mean m are those of mean zero, moved by m."""
    zero, moved = fresh(covariance), fresh(covariance)
    moved.mean += 0.7
    x, sigma = torch.randn(3, 1, N, N), torch.tensor([0.1, 1.0, 10.0])
    assert torch.allclose(moved(x + 0.7, sigma), zero(x, sigma) + 0.7, atol=1e-5)
    HybridPrior(moved, {"settings": "{}"}, "float32").save(tmp_path / "prior.safetensors")
    a, b = HybridPrior(zero, precision="float32"), load_prior(tmp_path / "prior.safetensors")
    b.precision = "float32"
    draws = [prior.sample(4, torch.Generator().manual_seed(0), steps=8) for prior in (a, b)]
    assert torch.allclose(draws[0] + 0.7, draws[1], atol=1e-3)


def test_training_learns_what_is_not_gaussian(covariance):
    """On lognormal patches the residual lowers the loss below that of the Wiener filter, which it starts from."""
    images = torch.from_numpy(Convergence.simulate(512, N, {}, 2))
    settings = {"steps": 200, "batch": 32, "learning_rate": 3e-3, "warmup": 10, "decay": 0.3, "ema": 0.05}
    settings |= {
        "log_sigma_mean": -0.6,
        "log_sigma_std": 1.3,
        "precision": "float32",
        "checkpoint_every": 500,
    }
    x, sigma = images, torch.full((512,), 0.8)
    noisy = x + 0.8 * torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    model = fresh(covariance)
    before = float((model(noisy, sigma) - x).detach().square().mean())
    model, record = train(images, model, settings, 0, None, progress=False)
    assert record["steps"] == 200
    assert float((model(noisy, sigma) - x).detach().square().mean()) < 0.95 * before


@pytest.mark.parametrize("kind", [HybridPrior, NeuralPrior])
def test_a_prior_is_loaded_as_the_kind_it_was_saved(tmp_path, covariance, kind):
    from skyscore.diffusion.network import Denoiser

    model = fresh(covariance) if kind is HybridPrior else Denoiser(N, 0.8, NETWORK)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(std=0.1)
    prior, path = kind(model, {"settings": "{}"}, "float32"), tmp_path / "prior.safetensors"
    prior.save(path)
    again, x = load_prior(path), torch.randn(2, 1, N, N)
    again.precision = "float32"
    assert type(again) is kind and again.sigma_max == prior.sigma_max
    assert torch.allclose(again.denoise(x, 0.3), prior.denoise(x, 0.3), atol=3e-3)  # kept in half precision


def test_full_precision_where_the_network_has_half(covariance):
    """At small sigma D is x to first order: a Gaussian part in bfloat16 would be wrong by hundreds of sigma."""
    x = torch.randn(2, 1, N, N)
    assert (HybridPrior(fresh(covariance), precision="bfloat16").denoise(x, 1e-4) - x).abs().max() < 1e-5


def test_an_unknown_kind_is_refused(tmp_path):
    path = tmp_path / "prior.safetensors"
    io.write_weights(path, {"a": torch.zeros(3)}, {"kind": "oracle"})
    with pytest.raises(io.InputError, match=r"oracle.*neural, hybrid"):
        load_prior(path)
