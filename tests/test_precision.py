"""The half precision that networks are evaluated in where the hardware has it: the posterior does not move."""

import torch
from conftest import ROOT

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import load_prior
from skyscore.samplers import sample


def test_bfloat16_moves_no_posterior():
    """Same seed, same chains: apart by less than a twentieth of the posterior's deviation (rms), and as wide."""
    prior = load_prior(ROOT / "weights" / "galaxies32.safetensors")
    g = torch.Generator().manual_seed(0)
    at = torch.arange(32.0)
    blur = torch.softmax(-((at[::2, None] - at) ** 2) / 8, 1)  # to half of the pixels on a side
    A = MatrixOperator(torch.kron(blur, blur), prior.shape)
    truth = prior.sample(1, g, steps=20)
    y = A(truth)[0]
    likelihood = GaussianLikelihood(
        A, y + 0.05 * y.max() * torch.randn(y.shape, generator=g), 0.05 * float(y.max())
    )

    def drawn(precision):
        prior.precision = precision
        return sample("mmps", prior, likelihood, 16, steps=16, reach=3.0, cg_steps=3, churn=0.75).x

    full, half = drawn("float32"), drawn("bfloat16")
    apart = (half - full) / full.std(0).mean()
    assert 0 < float(apart.square().mean().sqrt()) < 0.05
    assert abs(float(half.std(0).mean() / full.std(0).mean()) - 1) < 0.01
