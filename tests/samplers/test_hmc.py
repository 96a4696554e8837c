"""Annealed HMC against the Wiener filter, on Gaussian fields with the exact score and on mixtures."""

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.likelihoods.gaussian import Spectrum
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior, GaussianPrior
from skyscore.problems import PROBLEMS, load_problem
from skyscore.samplers import sample
from skyscore.samplers.chains.hmc import HMC, Mass
from skyscore.simulate.convergence import Convergence
from skyscore.statistics.cosine import cosine_matrix, cosine_power

SIDE = 12


class Field:
    """A Gaussian field with the power of theory, by its exact score."""

    def __init__(self):
        self.T, self.P = cosine_matrix(SIDE), torch.from_numpy(cosine_power(Convergence.covariance(SIDE, {})))
        TT = torch.kron(self.T, self.T)
        self.covariance = (TT.T * self.P.flatten()) @ TT

    def denoise(self, x, sigma):
        return self.T.T @ (self.P / (self.P + sigma**2) * (self.T @ x @ self.T.T)) @ self.T


@pytest.fixture(scope="module")
def field():
    return Field()


@pytest.fixture(scope="module")
def likelihood(field):
    z = torch.randn(2, SIDE, SIDE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    images = (field.T.T @ (field.P.sqrt() * z) @ field.T)[:, None].numpy()
    return load_problem(PROBLEMS["kappa"].simulate({"density": 400.0}, images, 1)).likelihood


def test_the_mean_is_the_wiener_filter_and_the_variance_its_own(field, likelihood):
    """Masked shear of a Gaussian field: each mode of the posterior has its mean and its variance to Monte-Carlo errors.

    At 32 x 32 pixels and 5000 draws the same comparison stays below 2 per cent of the mean's norm.
    """
    exact = GaussianPrior(torch.zeros(SIDE**2).double(), field.covariance).posterior(likelihood)
    n, generator = 1000, torch.Generator().manual_seed(0)
    made = sample("hmc", field, likelihood, n, steps=130, generator=generator, sigma_max=1.0)
    v, Q = torch.linalg.eigh(exact.covariance)
    z = (made.x.reshape(n, -1) - exact.mean) @ Q / v.sqrt()
    assert float((n * z.mean(0) ** 2).mean()) == pytest.approx(1, abs=4 * (2 / SIDE**2) ** 0.5)
    assert float(z.var(0).mean()) == pytest.approx(1, abs=0.02)
    assert z.var(0).sub(1).abs().max() < 5 * (2 / n) ** 0.5
    assert float((made.x.reshape(n, -1).mean(0) - exact.mean).norm() / exact.mean.norm()) < 0.05
    assert made.diagnostics["acceptance"] > 0.6 and made.nfe < 130


def test_the_mass_of_a_gaussian_is_its_posterior_precision(field, likelihood):
    sampler = HMC(steps=40, sigma_max=2.0)
    sampler(field, likelihood, 2, [torch.Generator().manual_seed(0)])
    assert torch.allclose(sampler.covariance, field.covariance, atol=1e-3 * float(field.P.max()))
    exact = GaussianPrior(torch.zeros(SIDE**2).double(), field.covariance).posterior(likelihood)
    centre, unit = torch.zeros(1, SIDE**2).double(), torch.eye(SIDE**2, dtype=torch.float64)
    mass = Mass(field.covariance, likelihood.spectrum(), centre, 1e-3, 1e-4)
    root = mass.half_inverse(unit)
    assert torch.allclose(root @ root, exact.covariance, atol=1e-3)
    assert torch.allclose(mass.half(root), unit, atol=1e-8)
    assert torch.allclose(mass.mean[0], exact.mean, atol=1e-3)


def test_a_white_mass_is_that_of_a_white_prior():
    V = torch.linalg.qr(torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    data = Spectrum(V, torch.tensor([3.0, 1.0, 0.5]).double(), torch.ones(3).double())
    unit, centre = torch.eye(6, dtype=torch.float64), torch.ones(1, 6, dtype=torch.float64)
    dense, white = Mass(2 * unit, data, centre, 0.7, 0.3), Mass(2.0, data, centre, 0.7, 0.3)
    assert torch.allclose(dense.half_inverse(unit), white.half_inverse(unit))
    assert torch.allclose(dense.half(unit), white.half(unit))
    assert torch.allclose(dense.mean, white.mean)


@pytest.mark.parametrize("mass", ["dense", "white"])
def test_the_mass_decides_no_posterior(mass):
    """Two modes side by side, of which the mass knows nothing: both are found, with their widths."""
    prior = GaussianMixturePrior(
        torch.tensor([0.4, 0.6]).double(),
        torch.tensor([[-1.0, 0.0], [1.0, 0.5]]).double(),
        0.3 * torch.eye(2).double().expand(2, 2, 2),
    )
    A = torch.tensor([[0.5, 1.0]], dtype=torch.float64)
    likelihood = GaussianLikelihood(MatrixOperator(A), torch.tensor([0.2]).double(), 0.7)
    exact = prior.posterior(likelihood)
    draws = exact.sample(20_000, torch.Generator().manual_seed(1))
    made = sample("hmc", prior, likelihood, 3000, steps=400, sigma_max=3.0, mass=mass)
    assert torch.allclose(made.x.mean(0), draws.mean(0), atol=0.07)
    assert torch.allclose(made.x.T.cov(), draws.T.cov(), atol=0.08)


def test_a_score_that_is_wrong_far_below_the_noise_moves_nothing(field, likelihood):
    """A constant error there would move the mean of the field, which shear does not see, by five of its deviations."""
    deviation = float(field.P[0, 0]) ** 0.5

    class Wrong:
        def denoise(self, x, sigma):
            wrong = 5 / deviation / SIDE * (float(sigma) < 0.2)
            return field.denoise(x, sigma) + sigma**2 * wrong

    exact = GaussianPrior(torch.zeros(SIDE**2).double(), field.covariance).posterior(likelihood)
    made = sample("hmc", Wrong(), likelihood, 400, steps=84, sigma_max=3.0)
    assert made.diagnostics["sigma_min"] > 0.2
    off = (made.x.reshape(400, -1).mean(1) - exact.mean.mean()).mean() * SIDE / deviation
    assert abs(float(off)) < 4 / 400**0.5


def test_observations_side_by_side_are_those_by_themselves(field, likelihood):
    from skyscore.likelihoods.gaussian import from_spectrum

    f = likelihood.spectrum()
    both = from_spectrum(Spectrum(f.V, f.s, torch.stack([f.d, -f.d])), (1, SIDE, SIDE))
    made = sample("hmc", field, both, 3, steps=40, sigma_max=2.0)
    seeds = torch.randint(2**62, (2,), generator=torch.Generator().manual_seed(0)).tolist()
    alone = sample(
        "hmc",
        field,
        both.observation(1),
        3,
        steps=40,
        sigma_max=2.0,
        generator=torch.Generator().manual_seed(seeds[1]),
    )
    assert made.x.shape == (2, 3, 1, SIDE, SIDE)
    assert torch.allclose(made.x[1], alone.x, atol=1e-6)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="dense"):
        HMC(mass="heavy")
    with pytest.raises(ValueError, match="at least 39"):
        HMC(steps=38)
    with pytest.raises(ValueError, match="inner"):
        HMC(inner=2)
