"""Variational samplers: density and bound against closed forms, and the points and Gaussians that they end at."""

import math

import pytest
import torch

from skyscore.diffusion.schedule import geometric
from skyscore.priors import GaussianPrior
from skyscore.samplers.variational.log_density import bound_term, flow_log_density
from tests.helpers.closed_forms import (
    bimodal,
    gaussian_problem,
    log_mixture,
    moments_to,
    run,
    scalar_problem,
)


def flow(prior, x, evaluations, probe=None, variance=1.0, top=60.0, low=0.05):
    mean = prior.denoise(torch.zeros(1, x.shape[1]).double(), 1e4)
    probe = torch.ones_like(x) if probe is None else probe
    return flow_log_density(prior.denoise, x, probe, mean, low, top, variance, evaluations).detach()


def bound(denoise, x, mean, low, top, levels=400, rows=500, seed=0):
    """b(x) of each of the points `(B, D)` by the midpoint rule over the levels: mean over draws and standard error."""
    g = torch.Generator().manual_seed(seed)
    many = x.repeat_interleave(rows, dim=0)

    def noise(n):
        return torch.randn(n, x.shape[1], generator=g, dtype=torch.float64)

    total = sum(bound_term(denoise, many, noise, mean, low, top, (i + 0.5) / levels) for i in range(levels))
    values = (total / levels).reshape(len(x), rows)
    return values.mean(1), values.std(1) / math.sqrt(rows)


def test_the_flow_finds_the_density_of_a_mixture():
    """In one dimension the trace is exact: an error of second order in the steps is all there is."""
    prior, _ = bimodal()
    x = torch.linspace(-3, 3, 13).double()[:, None]
    exact = log_mixture(prior, x, 0.05)
    options = {"variance": 2.78, "top": 300.0}  # the variance of the mixture
    errors = [float((flow(prior, x, 2 * n, **options) - exact).abs().max()) for n in (40, 80, 160)]
    assert errors[2] < 0.005
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


def test_the_flow_of_the_white_prior_takes_no_steps():
    prior = GaussianPrior(torch.tensor([1.0, -2.0]).double(), 0.7 * torch.eye(2).double())
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    assert torch.allclose(flow(prior, x, 2, variance=0.7), log_mixture(prior, x, 0.05), atol=1e-5)


def test_hutchinsons_trace_is_unbiased_and_differentiable():
    prior, _ = gaussian_problem()
    g, n = torch.Generator().manual_seed(1), 400
    x = torch.tensor([[0.3, -0.5, 1.0]]).double().expand(n, 3).clone().requires_grad_()
    probe = torch.randn(n, 3, generator=g, dtype=torch.float64).sign()
    mean = prior.denoise(torch.zeros(1, 3).double(), 1e4)
    values = flow_log_density(prior.denoise, x, probe, mean, 0.05, 60.0, 0.5, 160)
    exact = log_mixture(prior, x[:1].detach(), 0.05)
    assert float(values.detach().std()) > 0.01  # a single probe is not exact
    assert (
        abs(float(values.detach().mean() - exact)) < 5 * float(values.detach().std()) / math.sqrt(n) + 0.005
    )
    (score,) = torch.autograd.grad(values.sum(), x)
    C = prior.covariance + 0.05**2 * torch.eye(3)
    assert torch.allclose(score[0], torch.linalg.solve(C, prior.mean - x[0].detach()), atol=0.02)


@pytest.mark.parametrize("P", [0.25, 1.0, 4.0])
def test_the_bound_of_a_gaussian_prior_in_closed_form(P):
    r"""h = (1 - G)^2 x^2 / sigma^2 + G^2, G = P / (P + sigma^2); with u = sigma^2 both integrals are elementary."""
    low, top = 0.05, 30.0
    prior = GaussianPrior(torch.zeros(1).double(), torch.full((1, 1), P).double())
    x = torch.tensor([[-1.0], [0.0], [2.5]]).double()

    def antiderivative(u):
        return 0.5 * (math.log(u / (P + u)) + P / (P + u)) - x[:, 0] ** 2 / 2 / (P + u)

    G = P / (P + low**2)
    h = (1 - G) ** 2 * x[:, 0] ** 2 / low**2 + G**2
    closed = (
        -0.5 * math.log(2 * math.pi * low**2)
        - x[:, 0] ** 2 / (2 * top**2)
        - 0.5 * h
        - (antiderivative(top**2) - antiderivative(low**2))
    )
    found, error = bound(prior.denoise, x, torch.zeros(1, 1).double(), low, top)
    assert float(error.max()) < 0.05
    assert bool(((found - closed).abs() < 5 * error + 1e-3).all())
    # below the density of what the reverse SDE generates from N(0, top^2), whose last draw is N(D, low^2)
    V = P + low**2 - P * ((P + low**2) / (P + top**2)) ** 2
    V = G**2 * V + low**2
    assert bool((closed < -0.5 * (x[:, 0] ** 2 / V + math.log(2 * math.pi * V))).all())
    # and a perfect denoiser leaves no gap to the prior but that of the two ends
    assert torch.allclose(closed, log_mixture(prior, x), atol=3e-3)


def test_the_bound_is_below_the_density_of_a_mixture():
    prior, _ = bimodal()
    x = torch.linspace(-3, 3, 9).double()[:, None]
    mean = prior.denoise(torch.zeros(1, 1).double(), 1e4)
    found, error = bound(prior.denoise, x, mean, 0.02, 60.0)
    exact = log_mixture(prior, x)
    assert bool((found < exact + 4 * error).all())
    assert bool((found > exact - 5 * error - 0.05).all()) and float(error.max()) < 0.05


def test_the_bound_of_a_wrong_denoiser_is_below_the_density_of_what_it_generates():
    """D = 0.8 times the Wiener filter generates a Gaussian, whose variance follows the reverse SDE step by step."""
    P, low, top = 1.0, 0.05, 30.0

    def gain(u):
        return 0.8 * P / (P + u)

    V, n = top**2, 40_000
    for i in range(n):
        s2, r2 = (top**2 * (low / top) ** (2 * k / n) for k in (i, i + 1))
        c = 1 - r2 / s2
        V = (1 - c + c * gain(s2)) ** 2 * V + r2 * c
    V = gain(low**2) ** 2 * V + low**2
    x = torch.linspace(-2, 2, 5).double()[:, None]
    found, error = bound(lambda x, s: gain(s**2) * x, x, torch.zeros(1, 1).double(), low, top)
    generated = -0.5 * (x[:, 0] ** 2 / V + math.log(2 * math.pi * V))
    assert bool((found < generated - 5 * error).all())  # a gap, and on the right side


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({"steps": 900}, 3),
        ({"steps": 900, "family": "low-rank", "rank": 2}, 4),
        ({"steps": 3200, "prior_term": "ode", "flow_steps": 16}, 1),
    ],
)
def test_variational_inference_is_exact_for_gaussian_priors(options, runs):
    prior, likelihood = gaussian_problem()
    options = {"draws": 64, "sigma_max": 20.0, "sigma_min": 0.03, **options}
    found = run("scorevi", prior, likelihood, 20_000, **options)
    mean, cov = moments_to(prior.posterior(likelihood), found.x)
    assert float(mean.abs().max()) < 5 / math.sqrt(20_000) + 0.08
    assert float((cov - torch.eye(3)).abs().max()) < 6 * math.sqrt(2 / 20_000) + 0.08
    # the divergence is zero there: the bound on the evidence is that of the data, up to its constant and the noise of
    # the late steps; the surrogate sees one level in each, so several runs are averaged
    A, y = likelihood.operator.matrix(torch.float64), likelihood.y
    S = A @ prior.covariance @ A.T + torch.diag(likelihood.std**2)
    law = torch.distributions.MultivariateNormal(A @ prior.mean, S)
    evidence = float(law.log_prob(y) + likelihood.std.log().sum() + math.log(2 * math.pi))
    bounds = [found] + [run("scorevi", prior, likelihood, 10, seed=k, **options) for k in range(1, runs)]
    off = torch.tensor([each.diagnostics["evidence_bound"] - evidence for each in bounds])
    error = float(off.std()) / math.sqrt(runs) if runs > 1 else 0.03
    assert error < 0.15
    assert abs(float(off.mean())) < 5 * error


def test_a_diagonal_family_is_too_narrow():
    """The reverse divergence has the precision's diagonal, in the coordinates where the family is one: < variances."""
    prior, likelihood = gaussian_problem()
    found = run(
        "scorevi", prior, likelihood, 5_000, steps=600, draws=64, family="low-rank", rank=0, sigma_min=0.03
    )
    _, cov = moments_to(prior.posterior(likelihood), found.x)
    assert float(torch.linalg.det(cov)) < 0.9


def test_variational_inference_seeks_one_mode():
    prior, likelihood = bimodal(0.0)
    truth = float(prior.posterior(likelihood).weights[0])
    share = float((run("scorevi", prior, likelihood, 256, steps=600).x < -0.5).double().mean())
    assert 0.1 < truth < 0.9
    assert share < 0.01 or share > 0.99


def red_point(prior, likelihood, levels, pull):
    """The fixed point of the head of the module: pull(sigma) = lambda_sigma."""
    eye, C = torch.eye(len(prior.mean)).double(), prior.covariance
    precision = sum(pull(s) * s * torch.linalg.inv(C + s**2 * eye) for s in levels) / len(levels)
    A, w = likelihood.operator.matrix(torch.float64), likelihood.std**-2
    gram, r = A.T @ (w[:, None] * A), A.T @ (w * (likelihood.y - A @ prior.mean))
    return prior.mean + torch.linalg.solve(precision + gram, r)


@pytest.mark.parametrize(
    ("weight", "pull"),
    [("linear", lambda s: s), ("trunc_linear", lambda s: min(s, 1.0)), ("const", lambda s: 1.0)],
)
def test_reddiff_ends_at_its_fixed_point(weight, pull):
    prior, likelihood = gaussian_problem()
    point = red_point(prior, likelihood, geometric(1_999, 10.0, 0.05), lambda s: 100.0 * pull(s))
    exact = prior.posterior(likelihood)
    sd = exact.covariance.diagonal().sqrt()
    assert bool(((point - exact.mean).abs() > 0.4 * sd).any())  # which is not the posterior's mean
    options = {"steps": 2_000, "order": "random", "weight": weight, "lam": 100.0, "lr": 0.01}
    ends = [
        run("reddiff", prior, likelihood, 64, seed=k, sigma_max=10.0, sigma_min=0.05, **options).x
        for k in range(4)
    ]
    # all chains of a run have the same levels: their mean keeps the noise of the last ones
    off = torch.stack([(x.mean(0) - point) / sd for x in ends])
    error = off.std(0) / math.sqrt(len(ends))
    assert float(error.max()) < 0.08
    assert bool((off.mean(0).abs() < 5 * error + 0.02).all())
    assert all(bool((x.std(0) < 0.5 * sd).all()) for x in ends)  # and samples have no posterior spread


def test_reddiff_with_falling_levels_fits_the_noise():
    x = run("reddiff", *scalar_problem(1.0), 50, steps=1_000, sigma_max=10.0, sigma_min=0.02).x
    assert abs(float(x.mean()) - 2.0) < 0.05  # y; the posterior's mean is 4/3
    assert float(x.std()) < 0.1  # and its standard deviation 0.58


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("reddiff", {"weight": "cubic"}, "weight must be one of linear, sqrt"),
        ("reddiff", {"order": "up"}, "descending"),
        ("reddiff", {"lr": 0.0}, "lr > 0"),
        ("scorevi", {"prior_term": "exact"}, "surrogate"),
        ("scorevi", {"family": "flow"}, "low-rank"),
        ("scorevi", {"draws": 0}, "draws must be at least 1"),
        ("scorevi", {"lr": 0.0}, "lr must be greater than 0"),
    ],
)
def test_wrong_options_are_named(name, options, message):
    with pytest.raises(ValueError, match=f"{name}: .*{message}"):
        run(name, *scalar_problem(1.0), n=4, **options)
