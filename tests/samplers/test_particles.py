"""Particle filters against the law of the discretised chain that they filter, which is Gaussian for a Gaussian prior.

Statistics: independent populations with fixed seeds; what they find on average is compared with the closed form to 5
standard errors, measured over the populations, plus `BIAS` for what resampling makes of order 1 / particles. The bound
on the standard error itself keeps each test sharp.
"""

import itertools
import math

import pytest
import torch

from skyscore.diffusion.schedule import geometric
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior, GaussianPrior
from skyscore.samplers import SAMPLERS, sample
from skyscore.samplers.particles.filters import bridge, log_normal
from skyscore.samplers.particles.population import Population, effective, systematic
from tests.helpers.closed_forms import gaussian_problem, run, scalar_problem

FILTERS = ["mcgdiff", "smcdiff", "fpssmc"]
POPULATIONS, SIZE, BIAS = 12, 3_000, 0.01
TOP, LOW = 12.0, 0.02


def populations(name, prior, likelihood, count=POPULATIONS, size=SIZE, **options):
    """The sampler and its samples, of each population: the sampler keeps the path that the population was given."""
    for seed in range(count):
        sampler = SAMPLERS[name](batch=size, **options)
        yield sampler, sampler(prior, likelihood, size, [torch.Generator().manual_seed(seed)])


class Chain:
    """The joint Gaussian law of all levels of the reverse chain of a Gaussian prior: mean `(L D,)` and covariance."""

    def __init__(self, prior, sigmas, spread=0.0):
        self.prior, self.sigmas, self.D = prior, sigmas, len(prior.mean)
        eye, C = torch.eye(self.D, dtype=torch.float64), prior.covariance
        centre = prior.denoise(torch.zeros(1, self.D).double(), sigmas[0])[0]
        self.mean, self.cov = centre, (sigmas[0] ** 2 + spread) * eye
        for s, r in itertools.pairwise(sigmas):
            c = 1 - (r / s) ** 2
            G = C @ torch.linalg.inv(C + s**2 * eye)
            B, b = (1 - c) * eye + c * G, c * (prior.mean - G @ prior.mean)
            cross = B @ self.cov[-self.D :]
            q = r**2 * c + (c**2 * s**2 * spread / (spread + s**2) if spread else 0.0)
            self.cov = torch.cat(
                [
                    torch.cat([self.cov, cross.T], 1),
                    torch.cat([cross, cross[:, -self.D :] @ B.T + q * eye], 1),
                ]
            )
            self.mean = torch.cat([self.mean, B @ self.mean[-self.D :] + b])

    def row(self, parts):
        """A linear form on the chain, {level: vector `(D,)`}."""
        h = torch.zeros(len(self.mean), dtype=torch.float64)
        for level, vector in parts.items():
            h[level * self.D : (level + 1) * self.D] = vector
        return h

    def given(self, data):
        """Mean and covariance of the image that the chain ends with, and log p(data), for (row, value, variance)."""
        H, values, variances = (torch.stack(t) for t in zip(*data, strict=True))
        S = H @ self.cov @ H.T + torch.diag(variances)
        gain = torch.linalg.solve(S, H @ self.cov).T
        r = values - H @ self.mean
        mean, cov = self.mean + gain @ r, self.cov - gain @ H @ self.cov
        law = torch.distributions.MultivariateNormal(torch.zeros(len(r)).double(), S)
        C, last = self.prior.covariance, self.sigmas[-1]
        G = C @ torch.linalg.inv(C + last**2 * torch.eye(self.D).double())
        tail = slice(-self.D, None)
        return (
            self.prior.mean + G @ (mean[tail] - self.prior.mean),
            G @ cov[tail, tail] @ G.T,
            float(law.log_prob(r)),
        )

    def crossings(self, V, tau, y):
        """The data of both exact filters: each coordinate at its own level, on the bridge between two levels."""
        for k in range(len(tau)):
            j = next(j for j, s in enumerate(self.sigmas[1:]) if s <= tau[k])
            s, r = self.sigmas[j], self.sigmas[j + 1]
            w = (tau[k] ** 2 - r**2) / (s**2 - r**2)
            yield self.row({j: w * V[:, k], j + 1: (1 - w) * V[:, k]}), y[k], w * (1 - w) * (s**2 - r**2)

    def replaced(self, V, tau, path):
        for k, (j, s) in itertools.product(range(len(tau)), enumerate(self.sigmas)):
            if s > tau[k]:
                yield self.row({j: V[:, k]}), path[s][k], torch.zeros(()).double()

    def counted_at_every_level(self, V, tau, sequence):
        for k, (j, s) in itertools.product(range(len(tau)), enumerate(self.sigmas)):
            yield self.row({j: V[:, k]}), sequence[s][0, k], tau[k] ** 2


def law(name, sampler, chain):
    """Exact mean, covariance and log evidence (None where it is not estimated) of the filtered chain."""
    V, tau, y = sampler.V, sampler.tau, sampler.y
    if name == "fpssmc":
        return *chain.given(list(chain.counted_at_every_level(V, tau, sampler.sequence)))[:2], None
    data = list(chain.crossings(V, tau, y))
    if name == "smcdiff":
        data += list(chain.replaced(V, tau, sampler.path))
    mean, cov, log_p = chain.given(data)
    return mean, cov, log_p + float(tau.log().sum()) - (float(sampler.log_path) if name == "smcdiff" else 0.0)


def assert_zero(differences, sharp, what):
    """Mean over populations zero to 5 standard errors and `BIAS`; the standard error at most `sharp`."""
    d = torch.stack(differences)
    error = d.std(0) / math.sqrt(len(d))
    assert float(error.max()) < sharp, f"{what}: not sharp, {float(error.max())}"
    assert bool((d.mean(0).abs() < 5 * error + BIAS).all()), f"{what}: {d.mean(0)} +- {error}"


@pytest.mark.parametrize("spread", [0.0, 0.5])
@pytest.mark.parametrize("name", FILTERS)
def test_law_of_the_discretised_chain(name, spread):
    """Mean, covariance and evidence of 16 levels, as the Kalman smoother has them: a particle filter and no more."""
    prior, likelihood = gaussian_problem()
    options = {"steps": 17, "sigma_max": TOP, "sigma_min": LOW, "prior_variance": spread}
    chain, means, spreads, evidences = Chain(prior, geometric(16, TOP, LOW), spread), [], [], []
    for sampler, found in populations(name, prior, likelihood, **options):
        mean, cov, log_p = law(name, sampler, chain)
        white = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), (found.x - mean).T, upper=False)
        means.append(white.mean(1))
        spreads.append(white.cov() - torch.eye(3))
        if log_p is not None:
            evidences.append(torch.tensor(found.diagnostics["log_evidence"] - log_p).exp() - 1)
    assert_zero(means, 0.03, "mean")
    assert_zero(spreads, 0.04, "covariance")
    if evidences:
        assert_zero(evidences, 0.08, "evidence")


@pytest.mark.parametrize("name", ["mcgdiff", "smcdiff"])
def test_exact_posterior_for_a_white_prior_in_few_levels(name):
    """The kernel with the white prior's spread is the true reverse: nothing is left but Monte Carlo."""
    prior = GaussianPrior(torch.tensor([0.5, -1.0, 0.2]).double(), 0.7 * torch.eye(3).double())
    _, likelihood = gaussian_problem()
    exact = prior.posterior(likelihood)
    L = torch.linalg.cholesky(exact.covariance)
    means, spreads, evidences = [], [], []
    S = (A := likelihood.operator.matrix(torch.float64)) @ A.T * 0.7 + torch.diag(likelihood.std**2)
    r = likelihood.y - A @ prior.mean
    # of the whitened data
    log_p = float(
        torch.distributions.MultivariateNormal(torch.zeros(2).double(), S).log_prob(r)
        + likelihood.std.log().sum()
    )
    options = {"steps": 13, "sigma_max": TOP, "sigma_min": LOW, "prior_variance": 0.7}
    for _, found in populations(name, prior, likelihood, **options):
        white = torch.linalg.solve_triangular(L, (found.x - exact.mean).T, upper=False)
        means.append(white.mean(1))
        spreads.append(white.cov() - torch.eye(3))
        evidences.append(torch.tensor(found.diagnostics["log_evidence"] - log_p).exp() - 1)
    assert_zero(means, 0.03, "mean")
    assert_zero(spreads, 0.04, "covariance")
    assert_zero(evidences, 0.08, "evidence")


def two_modes():
    """Two modes in two dimensions and one noisy combination of them observed, that tells them apart in part only."""
    prior = GaussianMixturePrior(
        torch.tensor([0.4, 0.6]).double(),
        torch.tensor([[-1.5, 1.0], [1.5, -1.0]]).double(),
        torch.stack([torch.diag(torch.tensor([0.1, 0.4])), torch.tensor([[0.4, 0.2], [0.2, 0.3]])]).double(),
    )
    A, y = torch.tensor([[0.8, 0.6]]).double(), torch.tensor([0.1]).double()
    return prior, GaussianLikelihood(MatrixOperator(A), y, 0.7)


@pytest.mark.parametrize("name", ["mcgdiff", "smcdiff"])
def test_weights_of_modes(name):
    prior, likelihood = two_modes()
    truth = prior.posterior(likelihood).weights[:1]
    assert 0.1 < float(truth) < 0.9
    found = populations(name, prior, likelihood, size=3_000, steps=100, sigma_max=20.0)
    # 100 ancestral levels leave modes a little narrow; their weights they change less than `BIAS`
    assert_zero([(s.x[:, :1] < 0).double().mean(0) - truth for _, s in found], 0.012, "share of a mode")


def test_sharp_data_make_the_three_agree():
    """Without noise they are one method: what was not seen has the law of the chain, near the exact posterior's."""
    prior, likelihood = gaussian_problem((1e-3, 1e-3))
    exact = prior.posterior(likelihood)
    v = torch.linalg.eigh(exact.covariance)[1][:, -1]  # the direction that was not observed
    sd = float((v @ exact.covariance @ v).sqrt())
    options = {"sigma_max": TOP, "sigma_min": LOW}
    chain = Chain(prior, geometric(60, TOP, LOW))
    for name in FILTERS:
        means, spreads = [], []
        for sampler, found in populations(name, prior, likelihood, 8, 500, steps=61, **options):
            mean, cov, _ = law(name, sampler, chain)
            means.append(((found.x @ v).mean(0) - mean @ v)[None] / sd)
            spreads.append(((found.x @ v).var(0) / (v @ cov @ v) - 1)[None])
            assert float(v @ cov @ v) / sd**2 == pytest.approx(1, abs=0.2)  # ancestral steps are narrow
        assert_zero(means, 0.05, f"{name}: mean")
        assert_zero(spreads, 0.06, f"{name}: variance")


def test_fps_without_particles_ends_at_its_closed_form():
    """x and the noise of the data along one chain are a linear recursion; P = 1, y = 2, noise variance 0.5."""
    prior, likelihood = scalar_problem(1.0)
    sigmas, b, y = geometric(59, TOP, LOW), 0.5, 2.0
    for eta in (None, 0.5):
        x = run(
            "fpssmc",
            prior,
            likelihood,
            steps=60,
            sigma_max=TOP,
            sigma_min=LOW,
            particles=False,
            eta=eta,
        ).x
        mean = torch.zeros(2).double()  # of x and of y_s - y
        K = TOP**2 / (TOP**2 + b)
        mean[0] = K * y
        cov = torch.tensor([[K**2 * TOP**2 + TOP**2 * (1 - K), K * TOP**2], [K * TOP**2, TOP**2]]).double()
        for s, r in itertools.pairwise(sigmas):
            e = 1 - (r / s) ** 2 if eta is None else eta
            kept, G = math.sqrt(1 - e) * r / s, 1 / (1 + s**2)
            q = e * r**2
            K = q / (q + b)
            drift = (1 - K) * (G + kept * (1 - G))
            F = torch.tensor([[drift, K * kept], [0.0, kept]]).double()
            fresh = torch.tensor([K, 1.0]).double() * math.sqrt(e) * r
            mean = F @ mean + torch.tensor([K * y, 0.0]).double()
            cov = F @ cov @ F.T + torch.outer(fresh, fresh)
            cov[0, 0] += q * (1 - K)
        G = 1 / (1 + LOW**2)
        assert abs(float(x.mean()) - G * float(mean[0])) < 5 * math.sqrt(float(cov[0, 0]) / len(x))
        assert abs(float(x.var()) / (G**2 * float(cov[0, 0])) - 1) < 5 * math.sqrt(2 / len(x))
        assert abs(float(x.var()) * 3 - 1) > 0.1  # and that is not the posterior's variance of 1/3


def test_a_bridge_is_the_law_between_two_levels():
    """x at tau given x at r and s, by conditioning the Brownian motion in the variance; as a datum of x at r."""
    s, r, tau = 2.0, 0.5, torch.tensor([1.1], dtype=torch.float64)
    z, y = torch.tensor([[0.3]], dtype=torch.float64), torch.tensor([0.9], dtype=torch.float64)
    x_r = 0.4
    share = (float(tau) ** 2 - r**2) / (s**2 - r**2)
    mean, var = x_r + share * (0.3 - x_r), share * (1 - share) * (s**2 - r**2)
    u, v, log_slope = bridge(y, z, tau, s, r)
    expected = -0.5 * (0.9 - mean) ** 2 / var - 0.5 * math.log(2 * math.pi * var)
    assert float(log_normal(u - x_r, v) + log_slope) == pytest.approx(expected, rel=1e-12)


def test_directions_that_were_not_observed_are_free():
    """An operator of zeros: prior samples, with no weights to vary."""
    prior, _ = gaussian_problem()
    nothing = GaussianLikelihood(MatrixOperator(torch.zeros(2, 3).double()), torch.zeros(2).double(), 1.0)
    for name in FILTERS:
        s = sample(name, prior, nothing, 2_000, steps=60, batch=2_000)
        assert s.diagnostics["ess"] == pytest.approx(2_000)
        assert torch.allclose(s.x.mean(0), prior.mean, atol=0.15)


def test_data_of_more_noise_than_the_first_level_still_count():
    prior, _ = scalar_problem(4.0)
    faint = GaussianLikelihood(MatrixOperator(torch.eye(1).double()), torch.tensor([30.0]).double(), 8.0)
    exact = prior.posterior(faint)
    for name in ("mcgdiff", "smcdiff"):  # tau = 8 lies above the first level
        s = sample(name, prior, faint, 20_000, steps=200, sigma_max=6.0, prior_variance=4.0, batch=20_000)
        # N(0, sigma_max^2 + 4) is the law of the first level: no error but Monte Carlo's
        assert abs(float(s.x.mean() - exact.mean[0])) < 6 * math.sqrt(float(exact.covariance) / 20_000)


@pytest.mark.parametrize("name", FILTERS)
def test_collapsed_particles_are_announced(name):
    g = torch.Generator().manual_seed(0)
    R = torch.randn(30, 30, generator=g)  # correlated: what is not observed foretells what is
    prior = GaussianPrior(torch.zeros(30), R @ R.T / 3)
    sharp = GaussianLikelihood(MatrixOperator(torch.eye(30)[:15]), 5 * torch.randn(15, generator=g), 1e-2)
    with pytest.warns(UserWarning, match=f"{name}: particles collapsed"):
        found = run(name, prior, sharp, 60, steps=8)
    assert found.diagnostics["unique_ancestors"] < 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mcgdiff", {"ess_threshold": 2.0}, "ess_threshold must be between 0 and 1"),
        ("smcdiff", {"prior_variance": -1.0}, "prior_variance must not be negative"),
        ("fpssmc", {"eta": 0.0}, "eta must be above 0 and at most 1"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=f"{name}: {message}"):
        run(name, *scalar_problem(1.0), n=4, **options)


def test_a_population_keeps_its_evidence_and_its_ancestors():
    g = torch.Generator().manual_seed(0)
    p = Population(4, 0.9, g)
    p.weigh(torch.log(torch.tensor([4.0, 2.0, 1.0, 1.0])))
    assert effective(p.log_w) == pytest.approx(64 / 22)
    k = p.resample()
    assert sorted(k.tolist())[:2] == [0, 0] and torch.equal(p.ancestors, k)
    assert float(p.log_evidence) == pytest.approx(math.log(2))
    assert p.resample() is None  # all weights are one again
    p.weigh(math.log(3))
    _, health = p.finish("test")
    assert float(p.log_evidence) == pytest.approx(math.log(6))
    assert health["unique_ancestors"] == len(set(k.tolist())) and health["min_ess"] == pytest.approx(64 / 22)


def test_fewer_samples_than_particles():
    """Each particle is drawn in proportion to its weight; samples from many particles are none of them twice."""
    log_w = torch.log(torch.tensor([4.0, 2.0, 1.0, 1.0]).double())
    counts = [
        systematic(log_w, torch.Generator().manual_seed(s), 2).bincount(minlength=4) for s in range(400)
    ]
    assert torch.stack(counts).double().mean(0).tolist() == pytest.approx([1.0, 0.5, 0.25, 0.25], abs=0.12)
    _, likelihood = gaussian_problem()
    means = torch.tensor([[1.0, -1.0, 0.0], [-1.0, 1.0, 0.5]]).double()
    prior = GaussianMixturePrior(torch.ones(2).double(), means, torch.eye(3).double().expand(2, 3, 3) / 10)
    one, four = (run("tds", prior, likelihood, n=100, steps=20, particles=p) for p in (1.0, 4.0))
    assert one.x.shape == four.x.shape == (100, 3)
    assert four.nfe == pytest.approx(4 * one.nfe, rel=0.01)  # quoted for each sample that is returned
    assert four.diagnostics["unique_samples"] == 100 > one.diagnostics["unique_samples"]
    assert len(one.x.unique(dim=0)) == 100  # children of one parent at the last level are drawn by themselves
    with pytest.raises(ValueError, match="tds: particles must be at least 1"):
        run("tds", prior, likelihood, n=4, particles=0.5)
