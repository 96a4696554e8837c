"""The moments that learned priors give: exact where they are stored, and near those of held-out images."""

import json

import numpy as np
import pytest
import torch

from scripts.train import train_prior
from skyscore import io
from skyscore.diffusion.network import Denoiser
from skyscore.priors import FieldPrior, MomentsPrior, NeuralPrior, PrincipalPrior, load_prior
from skyscore.priors.field import FieldDenoiser
from skyscore.priors.principal import PrincipalDenoiser, principal_components
from skyscore.problems.flux import fit_flux_scale
from skyscore.problems.lens.problem import LensProblem
from skyscore.simulate.convergence import Convergence
from skyscore.simulate.galaxies import Galaxies
from skyscore.statistics.cosine import cosine_matrix
from skyscore.statistics.moments import field_moments, leading_moments, moments_of
from tests.helpers.workflow import ROOT

N = 8
NETWORK = {"patch": 2, "channels": [8], "blocks": 1, "attention": 0}


def covariance(moments) -> np.ndarray:
    U, D = moments.components, moments.mean.size
    return (U.T * (moments.variances - moments.residual)) @ U + moments.residual * np.eye(D)


def modes_of(C: np.ndarray) -> np.ndarray:
    """Variances of the cosine modes of images with the covariance C."""
    T = cosine_matrix(N).numpy()
    W = np.kron(T, T)
    return np.diag(W @ C @ W.T).reshape(N, N)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    g = np.random.default_rng(0)
    return (1 + g.standard_normal((400, 1, N, N)).cumsum(-1).cumsum(-2) / N).astype(np.float32)


@pytest.fixture(scope="module")
def galaxies() -> np.ndarray:
    return Galaxies.simulate(2000, 32, {}, 77)


@pytest.mark.parametrize("rank", [5, 256])
def test_leading_components_keep_all_of_the_variance(rank):
    g = np.random.default_rng(1)
    U = np.linalg.qr(g.standard_normal((N * N, 40)))[0].T
    v, mean = np.sort(g.uniform(0.5, 2, 40))[::-1], g.standard_normal((1, N, N))
    C = (U.T * (v - 0.1)) @ U + 0.1 * np.eye(N * N)
    found = leading_moments(mean, U, v, 0.1, rank)
    k = min(rank, 40)
    assert np.array_equal(found.mean, mean.ravel()) and np.array_equal(found.variances, v[:k])
    assert np.array_equal(found.components, U[:k])
    assert np.trace(covariance(found)) == pytest.approx(np.trace(C))
    assert np.allclose(found.modes, modes_of(C))  # those of all components
    if k == 40:
        assert np.allclose(covariance(found), C)


@pytest.mark.parametrize("rank", [5, 63])
def test_components_of_a_field_are_its_cosine_modes(rank):
    power = np.random.default_rng(2).uniform(0.1, 3, (N, N))
    T = cosine_matrix(N).numpy()
    W = np.kron(T, T)
    C = W.T @ np.diag(power.ravel()) @ W
    found = field_moments(power, 0.7, rank)
    assert np.all(found.mean == 0.7) and np.array_equal(found.modes, power)
    assert np.allclose(found.components @ found.components.T, np.eye(rank))
    assert np.allclose(found.variances, np.sort(power.ravel())[::-1][:rank])
    assert np.allclose(found.components @ C @ found.components.T, np.diag(found.variances))
    assert np.trace(covariance(found)) == pytest.approx(np.trace(C))


def test_a_field_gives_its_own():
    power = torch.rand(N, N, generator=torch.Generator().manual_seed(3))
    found = FieldPrior(FieldDenoiser(N, 0.2, power, 0.3)).moments()
    expected = field_moments(power.numpy(), 0.3)
    assert np.allclose(covariance(found), covariance(expected)) and np.allclose(found.mean, 0.3)


def test_a_principal_prior_gives_those_of_its_images_however_turned(images):
    model = PrincipalDenoiser(N, 1.0, NETWORK, *principal_components(images, "square"))
    found = PrincipalPrior(model).moments()
    x = torch.from_numpy(images)
    turns = [
        y if k == 0 else y.transpose(-1, -2)
        for k in (0, 1)
        for y in (x, x.flip(-1), x.flip(-2), x.flip(-1, -2))
    ]
    expected = moments_of(torch.cat(turns).numpy())
    assert np.allclose(found.mean, expected.mean, atol=1e-5)
    assert np.allclose(covariance(found), covariance(expected), rtol=1e-2, atol=2e-3 * expected.variances[0])
    assert np.allclose(found.modes, expected.modes, rtol=1e-2)


def test_a_gaussian_prior_gives_those_of_its_images(images, tmp_path):
    MomentsPrior.fit(images).save(tmp_path / "prior.safetensors")
    found, expected = load_prior(tmp_path / "prior.safetensors").moments(), moments_of(images)
    assert np.allclose(found.mean, expected.mean, atol=1e-6)
    assert np.allclose(covariance(found), covariance(expected), atol=2e-3 * expected.variances[0])


def trained(folder, images, monkeypatch, kind) -> tuple[NeuralPrior, dict]:
    """A prior that rule train_prior makes in two steps, and the tensors of its file."""
    monkeypatch.chdir(folder)
    io.write_dataset(folder / "train.h5", {}, train=images)
    schedule = {"steps": 2, "batch": 4, "learning_rate": 1e-3, "warmup": 1, "decay": 0.5, "ema": 0.1}
    schedule |= {"log_sigma_mean": -1.2, "log_sigma_std": 1.5, "symmetry": "square", "compile": False}
    settings = {"kind": kind, "pixels": N, "images": {"n": 400}, "network": NETWORK, "training": schedule}
    path = folder / "prior.safetensors"
    train_prior.main(folder / "train.h5", path, name="p", settings=settings, seed=1, checkpoint_every=10)
    return load_prior(path), io.read_weights(path)[0]


def test_a_plain_network_keeps_those_of_its_training_images(images, tmp_path, monkeypatch):
    prior, tensors = trained(tmp_path, images, monkeypatch, "neural")
    assert tensors["moments.components"].dtype == torch.float16
    model = PrincipalDenoiser(N, 1.0, NETWORK, *principal_components(images, "square"))
    expected = PrincipalPrior(model).moments()
    found = prior.moments()
    assert np.allclose(found.mean, expected.mean, atol=1e-6) and found.residual == pytest.approx(
        expected.residual
    )
    assert np.allclose(covariance(found), covariance(expected), atol=2e-3 * expected.variances[0])
    assert np.allclose(found.modes, expected.modes, rtol=1e-3)
    prior.save(tmp_path / "again.safetensors")
    again = load_prior(tmp_path / "again.safetensors").moments()
    assert all(np.array_equal(a, b) for a, b in zip(again, found, strict=True))


@pytest.mark.parametrize("kind", ["principal", "hybrid"])
def test_what_holds_them_anyway_is_not_written_twice(images, tmp_path, monkeypatch, kind):
    prior, tensors = trained(tmp_path, images, monkeypatch, kind)
    assert not any(name.startswith("moments.") for name in tensors)
    assert prior.moments().mean == pytest.approx(images.mean(), abs=0.3)


def test_weights_without_say_what_to_do(tmp_path):
    NeuralPrior(Denoiser(N, 0.2, NETWORK), {"settings": json.dumps({})}).save(tmp_path / "p.safetensors")
    with pytest.raises(
        io.InputError, match=r"moments=moments_of\(images\).*or train the prior again"
    ) as error:
        load_prior(tmp_path / "p.safetensors").moments()
    assert "\n" not in str(error.value)


def test_shipped_galaxies_are_as_held_out_ones(galaxies):
    """Of 24,000 images in eight positions, against 2,000 others: apart as 2,000 are from the population."""
    found, expected = load_prior(ROOT / "weights" / "galaxies32.safetensors").moments(), moments_of(galaxies)
    size = np.sqrt(expected.mean @ expected.mean + np.trace(covariance(expected)))
    assert np.linalg.norm(found.mean - expected.mean) < 0.03 * size
    assert np.trace(covariance(found)) == pytest.approx(np.trace(covariance(expected)), rel=0.1)
    along = ((galaxies.reshape(2000, -1) - found.mean) @ found.components.T).var(0)  # of the held-out ones
    assert np.median(np.abs(np.log(along / found.variances))) < 0.1
    assert np.allclose(along[:50], found.variances[:50], rtol=0.25)
    assert np.median(np.abs(np.log(found.modes / expected.modes))) < 0.1


def test_shipped_convergence_is_as_held_out_one():
    settings = load_prior(ROOT / "weights" / "kappa32.safetensors").config["images"]["convergence"]
    found = load_prior(ROOT / "weights" / "kappa32.safetensors").moments()
    expected = moments_of(Convergence.simulate(2000, 32, settings, 77))
    assert np.trace(covariance(found)) == pytest.approx(np.trace(covariance(expected)), rel=0.02)
    assert np.median(np.abs(np.log(found.modes / expected.modes))) < 0.05
    assert np.abs(expected.mean - found.mean).max() < 5 * (np.trace(covariance(found)) / 1024 / 2000) ** 0.5


def test_the_flux_scale_of_a_lens_is_that_under_held_out_images(galaxies):
    """Apart by less than its error, which two sets of 1,000 held-out images are too."""
    problem = LensProblem(LensProblem.simulate({}, galaxies[-10:], 0))
    spectrum = problem.likelihood.spectrum()
    derived = load_prior(ROOT / "weights" / "galaxies32.safetensors").moments()
    found, expected = (fit_flux_scale(spectrum, one) for one in (derived, moments_of(galaxies[:-10])))
    assert found.scale == pytest.approx(expected.scale, abs=expected.error)
    assert found.error == pytest.approx(expected.error, rel=0.5)
