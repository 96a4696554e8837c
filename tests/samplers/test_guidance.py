"""TMPD, DDRM, DDNM on Gaussian priors: the law of each from its equations, and where it is the posterior.

Bounds are those of tests/helpers/recursions.py; limits are taken in the recursions, which the samples have confirmed.
"""

import itertools
import math

import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import sample
from tests.helpers.closed_forms import assert_moments, exact, scalar_problem
from tests.helpers.closed_forms import run as run_scalar
from tests.helpers.recursions import (
    COORDINATES,
    LOW,
    SIZE,
    TOP,
    Coordinate,
    assert_law,
    levels,
    moments,
    problem,
    run,
)

BLIND = [Coordinate(c.mean, c.variance, 0.0, 0.0) for c in COORDINATES]
FINE = levels(10_000, low=1e-3)


# ---------------------------------------------------------------------------- DDRM


def ddrm(eta: float, eta_b: float):
    keep = math.sqrt(1 - eta**2)

    def law(c: Coordinate, sigmas: list[float]):
        def maps():
            for s, r in itertools.pairwise(sigmas):
                g, h = c.denoised(s)
                if c.w == 0:
                    k = keep * r / s
                    yield g + k * (1 - g), h - k * h, (eta * r) ** 2
                elif r < 1 / c.w:
                    k = keep * r * c.w
                    yield (1 - k) * g, (1 - k) * h + k * c.d / c.w, (eta * r) ** 2
                else:
                    yield (1 - eta_b) * g, (1 - eta_b) * h + eta_b * c.d / c.w, r**2 - (eta_b / c.w) ** 2
            yield *c.denoised(sigmas[-1]), 0.0

        top = sigmas[0]
        if c.w > 0 and top >= 1 / c.w:
            return moments(maps(), c.d / c.w, top**2 - c.w**-2)
        return moments(maps(), c.centre(top), top**2)

    return law


@pytest.mark.parametrize(("eta", "eta_b"), [(0.85, 1.0), (0.5, 0.6), (0.0, 1.0), (1.0, 0.3)])
def test_ddrm_follows_its_recursion(eta, eta_b):
    x = run("ddrm", steps=41, eta=eta, eta_b=eta_b)
    assert_law(x, ddrm(eta, eta_b), levels(40))


def test_ddrm_collapses_onto_the_data_as_steps_grow():
    for c in COORDINATES[:2]:
        mean, variance = ddrm(0.85, 1.0)(c, FINE)
        error = math.sqrt(c.posterior()[1])
        assert abs(mean - c.d / c.w) < 0.05 * error
        assert variance < 0.05 * error**2


@pytest.mark.parametrize("name", ["ddrm", "ddnm"])
@pytest.mark.parametrize("eta", [0.0, 0.85])
def test_without_data_the_prior_is_kept_by_the_flow_alone(name, eta):
    """Of the variance (1 + sqrt(1 - eta^2)) / 2 is left, as the steps grow."""
    law = {"ddrm": ddrm(eta, 1.0), "ddnm": ddnm("ddim", eta)}[name]
    assert_law(run(name, BLIND, steps=101, eta=eta), law, levels(100), BLIND)
    for c in BLIND:
        mean, variance = law(c, FINE)
        assert mean == pytest.approx(c.mean, abs=0.01)
        assert variance / c.variance == pytest.approx((1 + math.sqrt(1 - eta**2)) / 2, abs=0.01)


# ---------------------------------------------------------------------------- DDNM


def ddnm(step: str, eta: float = 0.85, travel: int = 1, repeats: int = 1):
    def law(c: Coordinate, sigmas: list[float]):
        def down(s, r):
            g, h = c.denoised(s)
            if step == "ddim":
                keep, most = math.sqrt(1 - eta**2) * r / s, r
            else:
                keep = r**2 / s**2
                q = r**2 * (1 - keep)
                most = math.sqrt(q) / (1 - keep)
            lam = min(1.0, most * c.w)  # the error of the data is 1 / w
            brought = lam / c.w if c.w else 0.0
            x0 = ((1 - lam) * g, (1 - lam) * h + (lam * c.d / c.w if c.w else 0.0))
            added = eta**2 * (r**2 - brought**2) if step == "ddim" else q - (1 - keep) ** 2 * brought**2
            return keep + (1 - keep) * x0[0], (1 - keep) * x0[1], max(added, 0.0)

        def maps():
            pairs = list(itertools.pairwise(sigmas))
            for k in range(0, len(pairs), travel):
                block = pairs[k : k + travel]
                for again in range(repeats):
                    if again:
                        yield 1.0, 0.0, block[0][0] ** 2 - block[-1][1] ** 2
                    for s, r in block:
                        yield down(s, r)
            yield *c.denoised(sigmas[-1]), 0.0

        return moments(maps(), c.centre(sigmas[0]), sigmas[0] ** 2)

    return law


@pytest.mark.parametrize(("step", "eta"), [("ddim", 0.85), ("ddim", 0.3), ("ddpm", 0.85)])
def test_ddnm_follows_its_recursion(step, eta):
    x = run("ddnm", steps=41, step=step, eta=eta)
    assert_law(x, ddnm(step, eta), levels(40))


@pytest.mark.parametrize(("step", "travel", "repeats"), [("ddim", 1, 2), ("ddpm", 4, 3)])
def test_time_travel_follows_its_recursion_within_the_evaluations(step, travel, repeats):
    x = run("ddnm", steps=30 * repeats + 1, step=step, travel=travel, repeats=repeats)
    assert_law(x, ddnm(step, 0.85, travel, repeats), levels(30))
    prior, likelihood, _ = problem()
    spent = sample("ddnm", prior, likelihood, 40, steps=60, step=step, travel=travel, repeats=repeats).nfe
    assert 0.8 * 60 < spent <= 60


def test_ddnm_samples_become_one_as_steps_grow():
    for c in COORDINATES[:2]:
        for step in ("ddim", "ddpm"):
            assert ddnm(step)(c, FINE)[1] < 0.05 * c.posterior()[1], step
    c = COORDINATES[0]
    assert ddnm("ddpm")(c, FINE)[0] == pytest.approx(c.d / c.w, abs=0.1 * math.sqrt(c.posterior()[1]))


def test_ddnm_without_data_is_the_reverse_sde():
    assert_law(run("ddnm", BLIND, steps=101, step="ddpm"), ddnm("ddpm"), levels(100), BLIND)
    for c in BLIND:
        mean, variance = ddnm("ddpm")(c, FINE)
        assert mean == pytest.approx(c.mean, abs=0.01)
        assert variance / c.variance == pytest.approx(1, abs=0.01)


# ---------------------------------------------------------------------------- TMPD: directions mix, so matrices


class Matrices:
    """The problem in its pixels, with the whitened operator W and data."""

    def __init__(self, prior, likelihood):
        self.mean, self.C = prior.mean, prior.covariance
        noise = likelihood.std.expand_as(likelihood.y)
        self.W = likelihood.operator.A / noise[:, None]
        self.y = likelihood.y / noise

    def covariance(self, kind: str, sigma: float) -> torch.Tensor:
        """1 + W V W', or what stands for it."""
        V = sigma**2 * self.gain(sigma)
        eye = torch.eye(len(self.y), dtype=V.dtype)
        if kind == "rows":
            return eye + torch.diag((self.W @ V @ self.W.T).sum(1).clamp_min(0))
        return eye + self.W @ (torch.diag(V.sum(1).clamp_min(0)) if kind == "pixels" else V) @ self.W.T

    def gain(self, sigma: float) -> torch.Tensor:
        return torch.linalg.solve(self.C + sigma**2 * torch.eye(len(self.C)), self.C).T

    def estimate(self, kind: str, sigma: float):
        """(E, e) of E[x0 | x, y] = E x + e."""
        G, W = self.gain(sigma), self.W
        h = self.mean - G @ self.mean
        pull = sigma**2 * G.T @ W.T @ torch.linalg.inv(self.covariance(kind, sigma))
        return G - pull @ W @ G, h + pull @ (self.y - W @ h)

    def law(self, kind: str, sigmas: list[float]):
        """Mean and covariance of the output: predict, evaluate, correct, in the joint state (x, its estimate)."""
        D = len(self.mean)
        eye = torch.eye(D, dtype=self.mean.dtype)
        E, e = self.estimate(kind, sigmas[0])
        both = torch.cat([eye, E])  # (x, estimate) from x
        start = self.mean - self.gain(sigmas[0]) @ self.mean
        mean, cov = both @ start + torch.cat([0 * e, e]), sigmas[0] ** 2 * both @ both.T
        for s, r in itertools.pairwise(sigmas):
            keep, k = (r / s) ** 2, ((s / r) ** 1.5 - 1) / 1.5
            E, e = self.estimate(kind, r)
            predicted = torch.cat([keep * eye, (1 - keep) * eye], dim=1)
            after = torch.cat([eye + k * E, E])  # x and estimate from the prediction
            step = after @ predicted
            step[:D, D:] -= k * eye
            mean = step @ mean + torch.cat([k * e, e])
            cov = step @ cov @ step.T + r**2 * (1 - keep) * after @ after.T
        return mean[D:], cov[D:, D:]

    def posterior(self):
        precision = torch.linalg.inv(self.C) + self.W.T @ self.W
        cov = torch.linalg.inv(precision)
        return cov @ (torch.linalg.solve(self.C, self.mean) + self.W.T @ self.y), cov


def assert_matches(x: torch.Tensor, mean: torch.Tensor, cov: torch.Tensor, slack: float = 0.0):
    """Mean and covariance in units of the latter; 5 standard errors, and slack."""
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(cov), (x - mean).T, upper=False).T
    off = white.T.cov() - torch.eye(x.shape[1])
    assert float(white.mean(0).abs().max()) < 5 / math.sqrt(len(x)) + slack
    assert float(off.abs().max()) < 5 * math.sqrt(2 / len(x)) + slack


MILD = [Coordinate(c.mean, c.variance, min(c.w, 3.0), c.d / max(c.w / 3.0, 1.0)) for c in COORDINATES]


@pytest.mark.parametrize("kind", ["rows", "pixels", "full"])
def test_tmpd_follows_its_recursion(kind):
    """The operator has mixed signs, so that row sums are negative at times."""
    prior, likelihood, Q = problem(MILD)
    matrices = Matrices(prior, likelihood)
    sums = torch.stack([(matrices.W @ matrices.gain(s) @ matrices.W.T).sum(1) for s in levels(60)])
    assert float(sums.min()) < 0 < float(sums.max())
    x = run("tmpd", MILD, steps=61, covariance=kind) @ Q.T
    assert_matches(x, *matrices.law(kind, levels(60)))


def test_tmpd_is_exact_with_the_full_matrix_and_not_with_row_sums():
    matrices = Matrices(*problem(MILD)[:2])
    fine = levels(800, low=1e-3)
    mean, cov = matrices.posterior()

    def widths(kind):
        """Bias in standard deviations, and ratios of variances in the directions where they differ most and least."""
        m, c = matrices.law(kind, fine)
        L = torch.linalg.cholesky(cov)
        ratio = torch.linalg.eigvalsh(torch.linalg.solve(L, torch.linalg.solve(L, c).T))
        return float(torch.linalg.solve(L, m - mean).norm()), ratio

    bias, ratio = widths("full")
    assert bias < 0.01 and float((ratio - 1).abs().max()) < 0.01
    for kind in ("rows", "pixels"):
        bias, ratio = widths(kind)
        assert bias > 0.1 or float((ratio - 1).abs().max()) > 0.1, kind


def test_tmpd_is_too_wide_where_covariances_are_positive():
    at = torch.arange(6, dtype=torch.float64)
    C = torch.exp(-0.5 * ((at[:, None] - at) / 2) ** 2) + 0.05 * torch.eye(6)
    A = torch.exp(-0.5 * (at[:, None] - at) ** 2)
    prior = GaussianPrior(torch.zeros(6).double(), C)
    matrices = Matrices(
        prior, GaussianLikelihood(MatrixOperator(A), torch.ones(6).double(), torch.tensor(0.7))
    )
    _, cov = matrices.posterior()
    _, found = matrices.law("rows", levels(400, low=1e-3))
    assert float(torch.linalg.eigvalsh(found - cov).min()) > -0.01 * float(cov.diagonal().max())
    assert float(found.trace() / cov.trace()) > 1.1


@pytest.mark.parametrize("P", [0.25, 4.0])
@pytest.mark.parametrize("kind", ["rows", "pixels", "full"])
def test_tmpd_is_exact_for_one_pixel(kind, P):
    """One pixel and one datum: all its matrices are numbers; the step rule is right to a per cent at 300 levels."""
    x = run_scalar("tmpd", *scalar_problem(P), steps=300, sigma_max=40 * math.sqrt(P), covariance=kind).x
    assert_moments(x, *exact(P))


@pytest.mark.parametrize("kind", ["rows", "pixels"])
def test_tmpd_is_exact_where_the_matrix_is_diagonal(kind):
    """Pixels seen one by one, under a prior that knows no neighbours, each with noise of its own."""
    prior = GaussianPrior(
        torch.tensor([1.0, 0.0, -1.0]).double(), torch.diag(torch.tensor([1.0, 0.3, 2.0]).double())
    )
    A = torch.tensor([[1.0, 0, 0], [0, 0, -2.0]]).double()
    likelihood = GaussianLikelihood(
        MatrixOperator(A), torch.tensor([0.5, 2.0]).double(), torch.tensor([0.4, 1.0])
    )
    g = torch.Generator().manual_seed(1)
    options = {"sigma_max": TOP, "sigma_min": LOW, "covariance": kind, "batch": SIZE}
    x = sample("tmpd", prior, likelihood, SIZE, steps=200, generator=g, **options).x
    assert_matches(x, *Matrices(prior, likelihood).posterior(), slack=0.01)


def test_tmpd_without_data_is_the_prior():
    x = run("tmpd", BLIND, steps=65)
    for k, c in enumerate(BLIND):
        assert_moments(
            x[:, k], c.mean, c.variance, slack=0.005
        )  # the step rule keeps 1.001 of a variance at 64 levels


def test_products_of_tmpd_are_counted():
    prior, likelihood, _ = problem()
    for kind, products in (("rows", 2), ("pixels", 2), ("full", 6)):
        s = sample("tmpd", prior, likelihood, 200, steps=20, covariance=kind)
        assert s.nvjp / s.nfe == pytest.approx(products, abs=0.1)
