"""The prior over principal components: its linear part against dense algebra, its gain, its weight, its file."""

import numpy as np
import pytest
import torch

from skyscore.diffusion.training import train
from skyscore.priors import PrincipalPrior, load_prior, principal
from skyscore.priors.principal import PrincipalDenoiser, orthonormal, principal_components
from skyscore.simulate.galaxies import Galaxies

NETWORK = {"patch": 2, "channels": [16, 16], "blocks": 1, "attention": 4}
N = 16


@pytest.fixture(scope="module")
def images():
    return Galaxies.simulate(600, N, {}, 1)


def fresh(images, rank=N * N, seed=0):
    torch.manual_seed(seed)
    return PrincipalDenoiser(N, 0.14, NETWORK, *principal_components(images, "square", rank))


def all_turns(images):
    x = np.concatenate([np.rot90(images, k, (2, 3)) for k in range(4)])
    return np.concatenate([x, x[..., ::-1]]).reshape(8 * len(images), -1).astype(float)


def test_components_are_those_of_all_flips_and_turns(images):
    mean, U, variances, rest = principal_components(images, "square")
    x = all_turns(images)
    C = np.cov(x.T, bias=True)
    assert np.allclose(mean.numpy().ravel(), x.mean(0), atol=1e-6)
    assert np.allclose(variances[:20], np.linalg.eigvalsh(C)[::-1][:20], rtol=1e-4)
    assert float(variances.sum()) == pytest.approx(np.trace(C), rel=1e-4)
    assert U.dtype == torch.float16 and rest <= 1e-6 * float(variances[0])


def test_components_of_large_images_need_no_covariance(images, monkeypatch):
    """Of randomly turned images, by random projections: the first variances, and the same trace."""
    mean, _, variances, _ = principal_components(images, "square")
    monkeypatch.setattr(principal, "DENSE", N)
    torch.manual_seed(0)
    again, U, found, rest = principal_components(images, "square", 60)
    assert torch.equal(again, mean) and U.shape == (60, N * N)
    assert np.allclose(found[:10], variances[:10], rtol=0.15)
    total = float(found.sum()) + rest * (N * N - 60)
    assert total == pytest.approx(float(variances.sum()), rel=1e-3)


def test_rounded_components_are_orthonormal_again(images):
    U = orthonormal(principal_components(images)[1])
    assert (U @ U.T - torch.eye(len(U))).abs().max() < 1e-12


@pytest.mark.parametrize("rank", [N * N, 40])
@pytest.mark.parametrize("sigma", [0.003, 0.1, 10.0])
def test_untrained_it_is_the_best_linear_denoiser(images, sigma, rank):
    """m + C (C + sigma^2)^-1 (x - m), C the covariance, or its first components and white noise of the same trace."""
    model, x = fresh(images, rank), all_turns(images)
    C = torch.from_numpy(np.cov(x.T, bias=True))
    if rank < N * N:
        values, vectors = torch.linalg.eigh(C)
        values[:-rank] = values[:-rank].mean()
        C = (vectors * values) @ vectors.T
    noisy = torch.from_numpy(x[:64]) + sigma * torch.randn(64, N * N, dtype=torch.float64)
    mean = torch.from_numpy(x.mean(0))
    exact = mean + (noisy - mean) @ torch.linalg.solve(C + sigma**2 * torch.eye(N * N), C)
    with torch.no_grad():
        ours = model(noisy.float().view(-1, 1, N, N), torch.full((64,), sigma)).flatten(1)
    assert (ours - exact).abs().max() < 0.02 * sigma


def test_the_network_cannot_spoil_the_jacobian_of_a_dark_direction(images):
    """A network of random weights: along the faintest components sigma^2 dD/dx stays below twice their variance
    at large sigma; behind a common c_out it is many times that."""
    model = fresh(images)
    with torch.no_grad():
        for p in model.net.parameters():
            p.normal_(std=0.05)
    sigma, prior = 10.0, PrincipalPrior(model, precision="float32")
    x = (sigma * torch.randn(1, 1, N, N)).requires_grad_()
    u = model.U[-20:].view(-1, 1, N, N)
    D = prior.denoise(x, sigma)
    J = torch.stack([torch.autograd.grad((D * v).sum(), x, retain_graph=True)[0][0] for v in u])
    found = sigma**2 * (J * u).flatten(1).sum(1)
    assert (found / model.power[-20:]).abs().max() < 2


@pytest.mark.parametrize("rank", [N * N, 40])
@pytest.mark.parametrize("sigma", [0.01, 0.3, 10.0])
def test_the_loss_of_a_linear_world_is_one_at_every_level(images, sigma, rank):
    """Errors with the covariance that the linear denoiser leaves: the mean square of the scaled error is 1."""
    model, g = fresh(images, rank), torch.Generator().manual_seed(0)
    z = torch.randn(2000, 1, N, N, generator=g)
    error = model.filter(z, lambda P: (P * sigma**2 / (P + sigma**2)) ** 0.5)
    assert float(model.scaled(error, torch.full((2000,), sigma)).square().mean()) == pytest.approx(
        1, abs=0.03
    )


def test_faint_components_have_a_larger_weight(images):
    """At large sigma the square of the scaled error of a component falls as the power q of its variance."""
    model, sigma = fresh(images), torch.tensor([50.0])
    found = [float(model.scaled(model.U[k].view(1, 1, N, N), sigma).square().sum()) for k in (0, 100)]
    ratio = float(model.power[100] / model.power[0])
    assert found[0] / found[1] == pytest.approx(ratio**principal.OWN, rel=0.02)


def test_training_lowers_the_loss_of_the_linear_denoiser(images):
    settings = {"steps": 150, "batch": 32, "learning_rate": 3e-3, "warmup": 10, "decay": 0.3, "ema": 0.05}
    settings |= {
        "log_sigma_mean": -1.7,
        "log_sigma_std": 1.4,
        "precision": "float32",
        "checkpoint_every": 500,
    }
    x = torch.from_numpy(images)
    noisy = x + 0.1 * torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
    model, sigma = fresh(images), torch.full((len(x),), 0.1)
    before = float((model(noisy, sigma) - x).detach().square().mean())
    model, _ = train(x, model, settings, 0, None, progress=False)
    assert float((model(noisy, sigma) - x).detach().square().mean()) < 0.9 * before


def test_a_file_holds_all_of_it(tmp_path, images):
    model = fresh(images, rank=100)
    with torch.no_grad():
        for p in model.net.parameters():
            p.normal_(std=0.1)
    prior, path = PrincipalPrior(model, {"settings": "{}"}, "float32"), tmp_path / "prior.safetensors"
    prior.save(path)
    again, x = load_prior(path), torch.randn(2, 1, N, N)
    again.precision = "float32"
    assert type(again) is PrincipalPrior
    assert torch.equal(again.model.U, model.U) and torch.equal(again.model.power, model.power)
    assert torch.allclose(again.denoise(x, 0.3), prior.denoise(x, 0.3), atol=3e-3)  # kept in half precision
    draws = [p.sample(4, torch.Generator().manual_seed(0), steps=8) for p in (prior, again)]
    assert torch.allclose(*draws, atol=2e-2)
