"""DiffPIR, DAPS, DCDP, Langevin on Gaussian priors: the law of each from its equations, and where it is the posterior.

Bounds are those of tests/helpers/recursions.py; limits are taken in the recursions, which the samples have confirmed.
"""

import math
from itertools import pairwise

import pytest

from tests.helpers.recursions import (
    COORDINATES,
    Coordinate,
    assert_law,
    levels,
    moments,
    ode_gain,
    run,
)

BLIND = [Coordinate(c.mean, c.variance, 0.0, 0.0) for c in COORDINATES]


def prox(c: Coordinate, sigma: float, weight: float):
    """(g, h) of the proximal step from E[x0 | x]: precision `weight` / sigma^2 for it, w^2 for the data."""
    g, h = c.denoised(sigma)
    total = weight / sigma**2 + c.w**2
    return g * weight / sigma**2 / total, (h * weight / sigma**2 + c.w * c.d) / total


# ---------------------------------------------------------------------------- DiffPIR


def diffpir(lam: float, zeta: float):
    def law(c: Coordinate, sigmas: list[float]):
        def maps():
            for s, r in pairwise(sigmas):
                a, b = prox(c, s, lam)
                k = r / s * math.sqrt(1 - zeta)
                yield a + k * (1 - a), b - k * b, zeta * r**2
            yield *prox(c, sigmas[-1], lam), 0.0

        return moments(maps(), c.centre(sigmas[0]), sigmas[0] ** 2)

    return law


@pytest.mark.parametrize(("lam", "zeta"), [(8.0, 1.0), (1.0, 1.0), (2.0, 0.3)])
def test_diffpir_follows_its_recursion(lam, zeta):
    x = run("diffpir", steps=41, lam=lam, zeta=zeta)
    assert_law(x, diffpir(lam, zeta), levels(40))


def test_diffpir_is_no_posterior():
    """Half the variance of the posterior of data lambda times as noisy, and its mean."""
    fine = levels(10_000, low=1e-3)
    for c in COORDINATES[:4]:
        for lam in (1.0, 8.0):
            noisier = Coordinate(c.mean, c.variance, c.w / math.sqrt(lam), c.d / math.sqrt(lam))
            mean, variance = noisier.posterior()
            found = diffpir(lam, 1.0)(c, fine)
            assert found[0] == pytest.approx(mean, abs=0.01 * math.sqrt(variance))
            assert found[1] / variance == pytest.approx(0.5, abs=0.01)


def test_diffpir_without_data_is_the_prior_only_as_a_flow():
    x = run("diffpir", BLIND, steps=301, zeta=0.0)
    assert_law(x, diffpir(8.0, 0.0), levels(300), BLIND)
    for c in BLIND:
        mean, variance = diffpir(8.0, 0.0)(c, levels(10_000, low=1e-3))
        assert variance / c.variance == pytest.approx(1, abs=0.01)
        assert mean == pytest.approx(c.mean, abs=0.01)
        assert diffpir(8.0, 1.0)(c, levels(10_000, low=1e-3))[1] / c.variance == pytest.approx(0.5, abs=0.01)


# ---------------------------------------------------------------------------- DAPS


def estimate(c: Coordinate, sigma: float, steps: int) -> tuple[float, float]:
    g = ode_gain(c.variance, sigma, steps)
    return g, (1 - g) * c.mean


def daps(ode_steps: int = 1, inner: int = 0, rate: float = 0.5, sharpest: float = 10.0):
    """`inner` Langevin steps in place of the exact draw if there are any."""

    def law(c: Coordinate, sigmas: list[float]):
        def draw(s):
            g, h = estimate(c, s, ode_steps)
            precision = c.w**2 + s**-2
            if not inner:
                return g / s**2 / precision, (h / s**2 + c.w * c.d) / precision, 1 / precision
            step = rate / (sharpest**2 + s**-2)
            keep = 1 - step * precision
            along, mean, spread = 1.0, 0.0, 0.0  # z = along x0 + mean + N(0, spread)
            for _ in range(inner):
                along, mean = keep * along + step / s**2, keep * mean + step * c.w * c.d
                spread = keep**2 * spread + 2 * step
            return along * g, along * h + mean, spread

        def maps():
            for s, r in pairwise(sigmas):
                a, b, q = draw(s)
                yield a, b, q + r**2
            yield draw(sigmas[-1])

        return moments(maps(), c.centre(sigmas[0]), sigmas[0] ** 2)

    return law


@pytest.mark.parametrize("ode_steps", [1, 5])
def test_daps_follows_its_recursion(ode_steps):
    x = run("daps", steps=40 * ode_steps + 1, ode_steps=ode_steps)
    assert_law(x, daps(ode_steps), levels(40))


@pytest.mark.parametrize("rate", [0.2, 1.0])
def test_daps_follows_its_recursion_with_langevin_steps(rate):
    x = run("daps", steps=21, data_step="langevin", langevin_steps=12, rate=rate)
    assert_law(x, daps(1, 12, rate), levels(20))


def test_daps_tends_to_the_posterior_with_tweedie():
    for c in COORDINATES:
        mean, variance = c.posterior()
        errors = []
        for count in (500, 10_000):
            m, v = daps()(c, levels(count, low=1e-3))
            errors.append(max(abs(v / variance - 1), abs(m - mean) / math.sqrt(variance)))
        assert errors[1] < 0.02 and errors[1] < errors[0]


def test_daps_with_the_flow_tends_to_the_posterior_of_a_prior_twice_as_wide():
    for c in COORDINATES:
        mean, variance = Coordinate(c.mean, 2 * c.variance, c.w, c.d).posterior()
        m, v = daps(20)(c, levels(2_000, low=1e-3))
        assert v / variance == pytest.approx(1, abs=0.03)
        assert m == pytest.approx(mean, abs=0.03 * math.sqrt(variance))


def test_daps_langevin_tends_to_the_exact_draw():
    """As its steps become small and many; at few of them directions that the data do not see stay at x0."""
    sigmas = levels(40)
    exact = daps()(COORDINATES[0], sigmas)
    assert daps(1, 2_000, 0.01)(COORDINATES[0], sigmas) == pytest.approx(exact, rel=0.01)
    open_ = COORDINATES[4]
    assert daps(1, 5, 0.5)(open_, sigmas)[1] < 0.8 * daps()(open_, sigmas)[1]


# ---------------------------------------------------------------------------- DCDP


def dcdp(
    ode_steps: int, fit_steps: int = 10, rate: float = 1.0, momentum: float = 0.9, sharpest: float = 10.0
):
    def law(c: Coordinate, sigmas: list[float]):
        def fit():
            along, mean, u, v = 1.0, 0.0, 0.0, 0.0  # v = along x + mean, its velocity u x + v
            for _ in range(fit_steps):
                u, v = momentum * u - c.w**2 * along, momentum * v + c.w * (c.d - c.w * mean)
                along, mean = along + rate / sharpest**2 * u, mean + rate / sharpest**2 * v
            return along, mean

        def maps():
            for s in sigmas:
                yield *fit(), 0.0
                yield 1.0, 0.0, s**2
                yield *estimate(c, s, ode_steps), 0.0

        return moments(maps(), c.centre(sigmas[0]), 0.0)

    return law


@pytest.mark.parametrize(("ode_steps", "momentum"), [(1, 0.9), (5, 0.9), (3, 0.0)])
def test_dcdp_follows_its_recursion(ode_steps, momentum):
    x = run("dcdp", steps=20 * ode_steps + 1, ode_steps=ode_steps, momentum=momentum, fit_steps=7)
    assert_law(x, dcdp(ode_steps, 7, momentum=momentum), levels(20))


def test_dcdp_fits_the_noise():
    """With a descent that is done, the best seen direction is at the data and has no width."""
    c = COORDINATES[0]
    mean, variance = dcdp(5, 100)(c, levels(40, low=1e-3))
    assert mean == pytest.approx(c.d / c.w, abs=1e-3)
    assert variance < 1e-3 * c.posterior()[1]


def test_dcdp_without_data_is_the_prior_only_with_the_flow():
    x = run("dcdp", BLIND, steps=40 * 12 + 1, ode_steps=12)
    assert_law(x, dcdp(12), levels(40), BLIND)
    for c in BLIND:
        assert dcdp(60)(c, levels(40))[1] / c.variance == pytest.approx(1, abs=0.02)
        assert dcdp(1)(c, levels(5_000, low=1e-3))[1] / c.variance == pytest.approx(0.5, abs=0.02)


# ---------------------------------------------------------------------------- Langevin


def langevin(repeats: int, tau: float, denoise: bool):
    def law(c: Coordinate, sigmas: list[float]):
        def move(s):
            """sigma^2 S = a x + b at level s."""
            g, h = c.denoised(s)
            data = s**2 / (1 + s**2 * c.w**2)
            return g - 1 - data * c.w**2, h + data * c.w * c.d

        def maps():
            for s in sigmas:
                a, b = move(s)
                for _ in range(repeats):
                    yield 1 + tau * a, tau * b, 2 * tau * s**2
            if denoise:
                a, b = move(sigmas[-1])
                yield 1 + a, b, 0.0

        return moments(maps(), c.centre(sigmas[0]), sigmas[0] ** 2)

    return law


@pytest.mark.parametrize(("repeats", "tau", "denoise"), [(1, 0.5, True), (2, 0.3, True), (3, 0.1, False)])
def test_langevin_follows_its_recursion(repeats, tau, denoise):
    x = run("langevin", steps=30 * repeats + 2, repeats=repeats, tau=tau, denoise=denoise)
    assert_law(x, langevin(repeats, tau, denoise), levels(30))


def test_langevin_tends_to_the_posterior():
    for c in COORDINATES:
        mean, variance = c.posterior()
        m, v = langevin(100, 0.3, True)(c, levels(1_000, low=1e-3))
        assert abs(v / variance - 1) < 0.02 and abs(m - mean) < 0.02 * math.sqrt(variance)
    frozen = langevin(1, 0.1, True)(COORDINATES[0], levels(30, low=1e-3))[1]
    assert frozen > 2 * COORDINATES[0].posterior()[1]


# ---------------------------------------------------------------------------- what all keep to
