"""What makes networks faster moves no posterior: half precision where the hardware has it, and compiled networks."""

import shutil

import pytest
import torch

from skyscore.compute.compiled import compiled
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import NeuralPrior, load_prior
from skyscore.samplers import sample
from tests.helpers.workflow import ROOT
from tests.priors.test_training import fresh


def observed(prior):
    """A blurred image of a prior under noise of a twentieth of its peak."""
    g = torch.Generator().manual_seed(0)
    at = torch.arange(32.0)
    blur = torch.softmax(-((at[::2, None] - at) ** 2) / 8, 1)  # to half of the pixels on a side
    A = MatrixOperator(torch.kron(blur, blur), prior.shape)
    truth = prior.sample(1, g, steps=20)
    y = A(truth)[0]
    noise = 0.05 * float(y.abs().max())
    return GaussianLikelihood(A, y + noise * torch.randn(y.shape, generator=g), noise)


def same_posterior(one, other):
    """Same seed, same chains: apart by less than a twentieth of the posterior's deviation (rms), and as wide."""
    apart = (other - one) / one.std(0).mean()
    assert 0 < float(apart.square().mean().sqrt()) < 0.05
    assert abs(float(other.std(0).mean() / one.std(0).mean()) - 1) < 0.01


def test_bfloat16_moves_no_posterior():
    prior = load_prior(ROOT / "weights" / "galaxies32.safetensors")
    likelihood = observed(prior)

    def drawn(precision):
        prior.precision = precision
        return sample("mmps", prior, likelihood, 16, steps=16, reach=3.0, cg_steps=3, churn=0.75).x

    same_posterior(drawn("float32"), drawn("bfloat16"))


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs g++")
def test_compiled_networks_move_no_posterior(capsys):
    prior = load_prior(ROOT / "weights" / "kappa32.safetensors")
    likelihood = observed(prior)

    def drawn():
        return sample("pnpdm", prior, likelihood, 16, steps=30, matched=True).x

    before = drawn()
    with compiled(prior, images=16) as done:
        assert done and "compiled for 16 images" in capsys.readouterr().out
        same_posterior(before, drawn())
    assert torch.equal(before, drawn())  # the network is as it was


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile needs g++")
def test_what_is_compiled_is_one_size_without_derivative():
    prior = NeuralPrior(fresh(), precision="float32")
    torch.nn.init.normal_(prior.model.net.head.weight)
    x = torch.randn(4, *prior.shape, generator=torch.Generator().manual_seed(0))

    def product():
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(prior.denoise(leaf, 0.3).sum(), leaf)[0]

    plain, gradient = prior.denoise(x, 0.3), product()
    with compiled(prior, None, images=4):
        found = torch._dynamo.utils.counters["frames"]
        before = found["ok"]
        with torch.no_grad():
            assert torch.allclose(prior.denoise(x, 0.3), plain, atol=1e-5)
            assert torch.equal(prior.denoise(x[:3], 0.3), plain[:3])
        assert torch.equal(product(), gradient)
        assert found["ok"] == before, "compiled once more"


def test_where_nothing_can_be_compiled_everything_goes_on(monkeypatch):
    monkeypatch.setenv("PATH", "")
    torch._dynamo.reset()
    prior = NeuralPrior(fresh(), precision="float32")
    x = torch.randn(5, *prior.shape)
    plain = prior.denoise(x, 0.3)
    with pytest.warns(UserWarning, match="network not compiled"), compiled(prior, images=5) as done:
        assert not done
        assert torch.equal(prior.denoise(x, 0.3), plain)
