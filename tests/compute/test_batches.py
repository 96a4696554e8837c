"""Networks that take so many images at once, as a GPU's memory does: half as many, once, and the same result."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skyscore.compute.batches import Batch
from skyscore.diffusion.network import Denoiser
from skyscore.diffusion.training import train
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior, NeuralPrior
from skyscore.samplers import sample
from tests.helpers.training import SETTINGS, fresh


class Small(Denoiser):
    """A denoiser on a device whose memory ends at `most` images."""

    most = 10**9

    def forward(self, x, sigma):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x, sigma)


def small(most):
    torch.manual_seed(0)
    model = Small(16, 0.2, fresh().network)
    model.most = most
    return model


class Mixture(GaussianMixturePrior):
    """A prior in closed form on such a device; its Jacobian is not, as a network's."""

    most, jacobian = 10**9, None

    def denoise(self, x, sigma):
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().denoise(x, sigma)


def test_half_once_and_then_the_error(capsys):
    def attempt(most):
        def run(size):
            if size > most:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return size

        return run

    batch = Batch(1024, "denoiser")
    assert (
        batch.run(attempt(40), rows=64) == 32
    )  # of the images that there are, not of the batch that there might be
    said = "skyscore: warning: denoiser: out of GPU memory with 64 images at once; going on with 32\n"
    assert capsys.readouterr().err == said
    assert batch.run(attempt(40), rows=64) == 32 and capsys.readouterr().err == ""
    with pytest.raises(torch.OutOfMemoryError):
        batch.run(attempt(31), rows=64)
    with pytest.raises(torch.OutOfMemoryError):
        Batch(1024, "denoiser").run(attempt(0), rows=1)
    with pytest.raises(torch.OutOfMemoryError):
        Batch(1024, "denoiser").run(attempt(10), rows=64)


def test_training_in_halves_is_the_training(tmp_path, capsys):
    images = 0.2 * torch.randn(64, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    runs = [train(images, small(most), SETTINGS, 1, None, progress=False) for most in (10**9, 4)]
    assert "training: out of GPU memory with 8 images at once; going on with 4" in capsys.readouterr().err
    (whole, record), (halves, again) = runs
    assert again["loss"] == pytest.approx(record["loss"], rel=1e-4)
    first, second = (torch.cat([p.flatten() for p in model.parameters()]) for model in (whole, halves))
    assert (
        first - second
    ).norm() < 1e-3 * first.norm()  # Adam's first steps are signs, of small gradients too
    with pytest.raises(torch.OutOfMemoryError):
        train(images, small(3), SETTINGS, 1, None, progress=False)


def test_draws_of_a_prior_in_halves(capsys):
    draws = [
        NeuralPrior(small(most), precision="float32").sample(6, torch.Generator().manual_seed(0), steps=4)
        for most in (10**9, 3)
    ]
    assert (
        "samples of the prior: out of GPU memory with 6 images at once; going on with 3"
        in capsys.readouterr().err
    )
    assert torch.allclose(*draws, atol=1e-5)


@pytest.mark.parametrize("name", ["cla", "mmps", "dps", "tds"])
def test_samples_in_halves_are_the_samples(name, capsys):
    """With and without derivatives; these cost one more evaluation for each product, and are counted so."""
    runs = []
    for most in (10**9, 6):
        prior = Mixture(torch.ones(1).double(), torch.zeros(1, 4).double(), torch.eye(4).double()[None])
        prior.most = most
        A, y = torch.eye(4).double()[:3], torch.ones(3).double()
        runs.append(sample(name, prior, GaussianLikelihood(MatrixOperator(A), y, 0.5), 12, steps=12))
    whole, halves = runs
    said = capsys.readouterr().err
    assert said.count("out of GPU memory") == 1 and "with 12 images at once; going on with 6" in said
    assert torch.allclose(whole.x, halves.x, atol=1e-9)
    assert halves.nvjp == whole.nvjp
    assert (halves.nfe > whole.nfe) == (name != "cla")


def test_simulations_in_halves(monkeypatch, capsys):
    from scripts.certify import sample_ensemble

    asked = []

    def limited(sampler, network, problem, n, *, noise, y, generator):
        asked.append(len(y))
        if len(y) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return torch.randn(len(y), generator=generator)

    monkeypatch.setattr(sample_ensemble, "sample_problem", limited)
    generator, together = torch.Generator().manual_seed(0), Batch(5, "simulations")
    found = [
        x for _, x in sample_ensemble.drawn(together, torch.zeros(5, 2), generator, {}, None, None, 4, None)
    ]
    assert asked == [5, 2, 2, 1]
    assert np.array_equal(found[0], torch.randn(2, generator=torch.Generator().manual_seed(0)))
