"""Large maps without a decomposition: split Gibbs behind part of an isometry, against dense linear algebra."""

import json
import math

import numpy as np
import pytest
import torch

from scripts.certify import moments_ensemble, simulate
from skyscore import io
from skyscore.likelihoods import GaussianLikelihood, MatrixFreeLikelihood
from skyscore.problems import PROBLEMS, load_problem
from skyscore.problems.kappa import problem as kappa
from skyscore.samplers import sample
from skyscore.simulate.convergence import Convergence
from tests.helpers.fields import Field, G, instrument

CASES = [((6, 6), 0), ((5, 7), 0), ((6, 5), 2)]


class Basis:
    """White noise that is the unit vectors of all that is asked for, one after the other: what is linear in the noise
    then gives its matrix, and the sum of squares over rows its covariance."""

    def __init__(self, *shapes):
        self.shapes, self.sizes = list(shapes), [math.prod(s) for s in shapes]
        self.call = 0

    @property
    def rows(self):
        return sum(self.sizes)

    def __call__(self, *shape):
        k, size = self.call, math.prod(shape)
        assert shape == self.shapes[k]
        self.call += 1
        noise, first = torch.zeros(self.rows, size, dtype=torch.float64), sum(self.sizes[:k])
        noise[first : first + size] = torch.eye(size, dtype=torch.float64)
        return noise.reshape(-1, *shape)


@pytest.mark.parametrize(("shape", "padding"), CASES)
def test_complement_is_what_the_operator_leaves(shape, padding):
    A, shapes = instrument(shape, padding)
    L, M = A.complement(Basis(*shapes)), A.matrix()
    assert torch.allclose(L.T @ L, torch.eye(len(M)).double() - M @ M.T, atol=1e-12)


@pytest.mark.parametrize("rho", [0.2, 1.5])  # below the noise of all data, and above that of some
@pytest.mark.parametrize(("shape", "padding"), CASES)
def test_coupled_is_the_conditional_law(shape, padding, rho):
    A, shapes = instrument(shape, padding)
    (M,), D = A.out_shape, math.prod(shape)
    std = 0.5 + 2 * torch.rand(M, generator=G, dtype=torch.float64)
    y, x = torch.randn(M, generator=G).double(), torch.randn(1, D, generator=G).double()
    likelihood = MatrixFreeLikelihood(A, y, std)
    basis = Basis((D,), (M,), *shapes)
    moved = likelihood.coupled(x.expand(basis.rows, D), rho, basis)
    mean = likelihood.coupled(x, rho, lambda *s: torch.zeros(1, *s, dtype=torch.float64))
    L = moved - mean
    W = A.matrix()
    given = torch.diag(std.square().clamp(min=1.001 * rho**2)) - rho**2 * W @ W.T
    precision = W.T @ torch.linalg.solve(given, W) + torch.eye(D).double() / rho**2
    exact = torch.linalg.solve(precision, W.T @ torch.linalg.solve(given, y) + x[0] / rho**2)
    assert torch.allclose(L.T @ L, torch.linalg.inv(precision), atol=1e-8)
    assert torch.allclose(mean[0], exact, atol=1e-8)


def test_chains_reach_the_posterior():
    """Mean and variance within 5 standard errors (2,500 chains); two observations in one run, as one by one."""
    A, _ = instrument((6, 6), 0)
    (M,) = A.out_shape
    C = torch.exp(-torch.cdist(*[torch.cartesian_prod(*[torch.arange(6.0)] * 2)] * 2) / 3).double()
    prior = Field(torch.zeros(36).double(), C)
    std = 0.8 + torch.rand(M, generator=G, dtype=torch.float64)
    y = torch.randn(2, M, generator=G).double()
    options = {"steps": 480, "inner": 12, "matched": True, "hold": 0.6, "sigma_max": 30.0, "generator": G}
    found = sample("pnpdm", prior, MatrixFreeLikelihood(A, y, std), 2500, **options)
    for o in range(2):
        exact = prior.posterior(GaussianLikelihood(A, y[o], std))
        x, v = found.x[o].flatten(1), exact.covariance.diagonal()
        assert ((x.mean(0) - exact.mean.flatten()) / (v / len(x)).sqrt()).abs().max() < 5
        assert (x.var(0) / v - 1).abs().max() < 0.02 + 5 * (2 / len(x)) ** 0.5


def test_other_samplers_say_what_to_do():
    A, _ = instrument((6, 6), 0)
    likelihood = MatrixFreeLikelihood(A, torch.zeros(A.out_shape).double(), torch.ones(A.out_shape).double())
    prior = Field(torch.zeros(36).double(), torch.eye(36).double())
    for name, options in (("mmps", {}), ("pnpdm", {})):
        with pytest.raises(ValueError, match="too large for them; use pnpdm with matched"):
            sample(name, prior, likelihood, 2, **options)
    with pytest.raises(ValueError, match="too large to decompose"):
        likelihood.spectrum()


def test_a_large_map_takes_this_way(monkeypatch):
    """The same samples by either way in distribution: mean of one within the errors of the other."""
    images = Convergence.simulate(200, 12, {}, 0)
    observation = PROBLEMS["kappa"].simulate({}, images, 3)
    flat = torch.as_tensor(images).double().flatten(1)
    prior = Field(flat.mean(0), torch.cov(flat.T) + 1e-4 * torch.eye(144).double())
    options = {"steps": 300, "matched": True, "hold": 0.4, "sigma_max": 20.0}
    found = []
    for largest in (4096, 100):
        monkeypatch.setattr(kappa, "DECOMPOSED_PIXELS", largest)
        problem = load_problem(observation)
        assert problem.large == (largest == 100) and problem.likelihood.decomposable != problem.large
        found.append(sample("pnpdm", prior, problem.likelihood, 1500, **options).x)
        y = problem.data.expand(2, -1)
        assert sample("pnpdm", prior, problem.likelihood_of(y), 3, **options).x.shape == (2, 3, 1, 12, 12)
    a, b = found
    z = (a.mean(0) - b.mean(0)) / ((a.var(0) + b.var(0)) / 1500).sqrt()
    assert z.abs().max() < 5
    assert abs(float((a.var(0) / b.var(0)).mean()) - 1) < 0.03


def test_the_chain_of_a_large_map(tmp_path, monkeypatch):
    """Simulations, samples of each and their moments, without a decomposition anywhere."""
    monkeypatch.setattr(kappa, "DECOMPOSED_PIXELS", 100)
    images = Convergence.simulate(300, 12, {}, 0)
    observation, paths = PROBLEMS["kappa"].simulate({}, images, 3), {}
    for name in ("observation", "draws", "held", "simulations", "ensemble", "moments"):
        paths[name] = tmp_path / f"{name}.{'json' if name == 'moments' else 'h5'}"
    io.write_observation(paths["observation"], observation)
    io.write_dataset(paths["draws"], {}, samples=images)
    io.write_dataset(paths["held"], {}, held_out=images[:20])
    simulate.main(
        paths["observation"], paths["draws"], paths["held"], paths["simulations"], n=40, n_held_out=4, seed=1
    )
    made = io.read_simulations(paths["simulations"])
    error = np.square(made.estimates - made.truths).mean()
    assert made.estimates.shape == made.truths.shape and error < 0.8 * made.truths.var()
    samples = np.repeat(made.estimates[:, None], 8, axis=1)
    samples = samples + 0.3 * np.random.default_rng(0).normal(size=samples.shape).astype(np.float32)
    io.write_ensemble(paths["ensemble"], samples)
    files = (paths[name] for name in ("observation", "simulations", "ensemble", "draws", "moments"))
    moments_ensemble.main(*files, problem="kappa", sampler="gibbs", seed=1)
    found = json.loads(paths["moments"].read_text())["numbers"]
    assert {"kappa/gibbs/z2", "kappa/gibbs/z2_k0", "kappa/gibbs/chi2_mean"} <= set(found)
    assert not any("snr" in key for key in found)
