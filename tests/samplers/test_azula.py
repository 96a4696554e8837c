"""An independent code: azula's MMPS on the same prior and data (azula is installed by `make test` and `make bench`)."""

import pytest
import torch

from benchmarks import azula
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior


def linear(dtype=torch.float32):
    """A Gaussian prior in 12 dimensions with 6 data, and its posterior."""
    g = torch.Generator().manual_seed(0)
    Q = torch.linalg.qr(torch.randn(12, 12, generator=g, dtype=torch.float64))[0]
    C = (Q * torch.logspace(-1, 0, 12, dtype=torch.float64)) @ Q.T
    A = torch.randn(6, 12, generator=g, dtype=torch.float64) / 3
    y, ones = torch.randn(6, generator=g, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    prior = GaussianMixturePrior(ones.to(dtype), torch.zeros(1, 12, dtype=dtype), C[None].to(dtype))
    likelihood = GaussianLikelihood(MatrixOperator(A.to(dtype)), y.to(dtype), 0.1)
    gain = C @ A.T @ torch.linalg.inv(A @ C @ A.T + 0.01 * torch.eye(6, dtype=torch.float64))
    return prior, likelihood, gain @ y, C - gain @ A @ C


def test_both_codes_draw_the_same_posterior(monkeypatch):
    """Of a Gaussian prior MMPS is exact but for its steps; six steps of conjugate gradients solve for six data."""
    pytest.importorskip("azula", reason="azula is not installed (requirements.bench.lock)")
    monkeypatch.setattr(azula, "CG", 6)
    torch.manual_seed(0)  # azula draws from the global generator
    prior, likelihood, mean, C = linear()
    whiten = torch.linalg.inv(torch.linalg.cholesky(C))
    n, steps = 4000, 200
    for run in azula.ours, azula.theirs:
        x = run("mmps", prior, likelihood, n, steps).x.flatten(1).double()
        z = (x - mean) @ whiten.T
        # four standard errors of 12 means; ancestral steps lose some of the variance
        assert z.mean(0).abs().max() < 4 / n**0.5 + 0.02, run.__name__
        assert 0.85 < float(z.square().mean()) < 1.05, run.__name__


def test_without_azula_the_bench_says_how_to_have_it(monkeypatch, capsys):
    monkeypatch.setitem(__import__("sys").modules, "azula", None)
    assert azula.bench_azula({}, "cpu") == {}
    assert "pip install --no-deps -r requirements.bench.lock" in capsys.readouterr().out
