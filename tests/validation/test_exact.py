"""The exact benchmark: it measures 1 for exact draws, more for wrong ones, and sees wrong weights of modes."""

import pytest
import torch

from skyscore.priors import GaussianMixturePrior
from skyscore.validation.exact import (
    TASKS,
    floor,
    make_prior,
    make_task,
    mean_and_error,
    measure,
    perplexity,
    sliced_wasserstein,
)


@pytest.fixture(scope="module")
def prior():
    return make_prior(11)


def test_priors_are_anisotropic_and_correlated(prior):
    assert prior.means.shape == (12, 64)
    assert float((prior.values[:, -1] / prior.values[:, 0]).min()) > 50
    C = prior.covariances[0]
    off = C / torch.sqrt(C.diagonal()[:, None] * C.diagonal())
    assert float((off - torch.eye(64)).abs().max()) > 0.3


@pytest.mark.parametrize("name", list(TASKS))
def test_tasks_have_the_perplexity_asked_for(prior, name):
    task = make_task(name, prior, 11)
    low, high = TASKS[name][2]
    assert low <= task.perplexity <= high
    assert task.perplexity == pytest.approx(perplexity(prior.components_given(task.likelihood)[0]))


def test_perplexity_counts():
    assert perplexity(torch.full((5,), 0.2)) == pytest.approx(5)
    assert perplexity(torch.tensor([1.0, 0.0])) == pytest.approx(1)


def test_distance_of_shifted_sets():
    x = torch.randn(500, 3)
    shift = torch.tensor([3.0, 0.0, 0.0])
    # the mean over directions of (u . shift)^2 is |shift|^2 / 3
    assert sliced_wasserstein(x, x + shift, directions=4096) == pytest.approx((9 / 3) ** 0.5, rel=0.05)
    assert sliced_wasserstein(x, x.flip(0)) == 0


def test_exact_draws_score_one_and_wrong_ones_more(prior):
    task, g = make_task("coarse_multimodal", prior, 11), torch.Generator().manual_seed(0)
    base, error = mean_and_error(floor(task.posterior, 256, 32, g))

    def ratio(wrong):
        pairs = [sliced_wasserstein(wrong.sample(256, g), task.posterior.sample(256, g)) for _ in range(16)]
        return sum(pairs) / 16 / base

    p = task.posterior
    assert ratio(p) == pytest.approx(1, abs=5 * error / base + 0.2)
    assert ratio(GaussianMixturePrior(p.weights, p.means, 0.7 * p.covariances)) > 1.15
    # the right modes with the wrong weights
    order = p.weights.argsort()
    assert (
        ratio(GaussianMixturePrior(p.weights[order.flip(0)][order.argsort()], p.means, p.covariances)) > 1.5
    )


def test_a_sampler_is_measured(prior):
    numbers = measure(make_task("coarse", prior, 11), "mmps", {"steps": 20}, 32, 2, 4, 0)
    assert numbers["ratio"] > 0.5 and numbers["ratio_error"] > 0
    assert 0 < numbers["nfe"] <= 20 and numbers["nvjp"] > 0
    assert numbers == measure(make_task("coarse", prior, 11), "mmps", {"steps": 20}, 32, 2, 4, 0)


def test_particles_reach_the_bar_on_an_unseen_prior(prior):
    """The bar of the benchmark, on one prior and a task with several modes, with few seeds: mean ratio <= 1.6."""
    numbers = measure(make_task("coarse_multimodal", prior, 11), "tds", {"steps": 32}, 256, 2, 16, 0)
    assert numbers["ratio"] - 2 * numbers["ratio_error"] <= 1.6
    assert numbers["nfe"] <= 32
