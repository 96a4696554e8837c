"""What makes networks faster moves no posterior: half precision where the hardware has it, and compiled networks."""

import shutil

import pytest
import torch

from skyscore.compute import precision
from skyscore.compute.compiled import compiled
from skyscore.diffusion.training import train
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import NeuralPrior, load_prior
from skyscore.samplers import sample
from tests.helpers.training import SETTINGS, fresh
from tests.helpers.workflow import ROOT


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
        return sample("mmps", prior, likelihood, 16, steps=16, start_sigmas=3.0, cg_steps=3, eta=0.75).x

    same_posterior(drawn("float32"), drawn("bfloat16"))


@pytest.mark.parametrize(
    ("native", "name", "reason"),
    [
        (False, "float32", "this processor does not support bfloat16"),
        (True, "bfloat16", "this processor supports it"),
    ],
)
def test_training_and_inference_follow_the_hardware(monkeypatch, capsys, native, name, reason):
    """What the processor has is asked in one place: it decides for both, and the log says which and why."""
    asked = []
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: asked.append(str(device)) or native)
    images = 0.2 * torch.randn(16, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    runs = {}
    for given in ({"precision": "auto"}, {}, {"precision": name}):
        settings = {**without(SETTINGS, "precision"), "steps": 2, **given}
        model, record = train(images, fresh(), settings, 1, progress=False)
        assert record["precision"] == name
        runs[len(runs)] = torch.cat([p.flatten() for p in model.parameters()])
        words = reason if given != {"precision": name} else "as requested"
        assert f"training in {name}: {words}\n" in capsys.readouterr().out
    assert asked == ["cpu", "cpu"]  # not where the precision is given
    assert torch.equal(runs[0], runs[1]) and torch.equal(runs[0], runs[2])
    assert NeuralPrior(fresh()).precision == name and asked == ["cpu"] * 3
    other = {"float32": "bfloat16", "bfloat16": "float32"}[name]
    model, record = train(images, fresh(), {**SETTINGS, "steps": 2, "precision": other}, 1, progress=False)
    assert record["precision"] == other
    assert not torch.equal(torch.cat([p.flatten() for p in model.parameters()]), runs[0])


def test_what_the_processor_says_is_what_decides(monkeypatch):
    """Instructions for bfloat16 are those of AVX-512-BF16 or of AMX; nothing else is asked of a processor."""
    for avx, amx in ((False, False), (True, False), (False, True)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda avx=avx: avx)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx)
        expected = "bfloat16" if avx or amx else "float32"
        assert precision.pick_precision("auto", torch.device("cpu")).name == expected


def test_a_precision_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="unknown precision 'float16'; use auto, bfloat16 or float32"):
        precision.pick_precision("float16", "cpu")


def without(settings, key):
    return {k: v for k, v in settings.items() if k != key}


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
