"""`sample` runs in the precision of the prior, whatever that of the likelihood."""

import numpy as np
import pytest
import torch

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import FieldPrior, GaussianPrior, HybridPrior, MomentsPrior, NeuralPrior, PrincipalPrior
from skyscore.problems.kappa.problem import KappaProblem
from skyscore.samplers import sample, sample_problem

SIDE = 6
OPTIONS = {"steps": 8, "sigma_max": 10.0}
SAMPLERS = ["cla", "pigdm", "mmps", "pnpdm", "tds"]


class Recorded(MomentsPrior):
    """A learned prior that notes the precision of each image it is asked for."""

    def denoise(self, x, sigma):
        self.asked = {*getattr(self, "asked", ()), x.dtype}
        return super().denoise(x, sigma)


def learned() -> Recorded:
    return Recorded.fit(np.random.default_rng(0).normal(size=(80, 1, SIDE, SIDE)).astype(np.float32))


class Operator(MatrixOperator):
    """Counts how often its matrix is asked for, copies included."""

    asked: list[int] = []  # noqa: RUF012

    def matrix(self, *arguments, **options):
        self.asked.append(1)
        return super().matrix(*arguments, **options)


def observed(dtype=torch.float64, observations=()) -> GaussianLikelihood:
    g = torch.Generator().manual_seed(1)
    A = torch.randn(20, SIDE**2, generator=g, dtype=torch.float64)
    y = torch.randn(*observations, 20, generator=g, dtype=torch.float64)
    return GaussianLikelihood(Operator(A.to(dtype), (1, SIDE, SIDE)), y.to(dtype), 0.3)


def drawn(name, prior, likelihood, **options):
    g = torch.Generator().manual_seed(2)
    return sample(name, prior, likelihood, 4, generator=g, **{**OPTIONS, **options}).x


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("observations", [(), (2,)])
def test_a_learned_prior_is_asked_in_single_precision(name, observations):
    prior, likelihood = learned(), observed(observations=observations)
    x = drawn(name, prior, likelihood)
    assert x.dtype == torch.float32 and prior.asked == {torch.float32}
    assert likelihood.y.dtype == torch.float64  # the user's is as it was
    assert torch.equal(x, drawn(name, prior, likelihood.to(dtype=torch.float32)))


def test_the_default_sampler_too():
    prior = learned()
    assert drawn("default", prior, observed()).dtype == torch.float32 and prior.asked == {torch.float32}


@pytest.mark.parametrize("one", [torch.float32, torch.float64])
@pytest.mark.parametrize("other", [torch.float32, torch.float64])
def test_an_exact_prior_keeps_its_own(one, other):
    prior = GaussianPrior(torch.zeros(SIDE**2, dtype=one), torch.eye(SIDE**2, dtype=one))
    likelihood = observed(other)
    likelihood.operator.in_shape = (SIDE**2,)
    assert prior.dtype == one and drawn("mmps", prior, likelihood).dtype == one


def test_a_prior_that_says_nothing_follows_the_likelihood():
    class Denoiser:
        def denoise(self, x, sigma):
            return x / (1 + sigma**2)

    for dtype in (torch.float32, torch.float64):
        assert drawn("mmps", Denoiser(), observed(dtype)).dtype == dtype


def test_the_operator_is_decomposed_once():
    """In double precision as it was given, for all runs."""
    prior, likelihood = learned(), observed()
    likelihood.operator.asked.clear()
    for name in ("cla", "mmps", "cla"):
        drawn(name, prior, likelihood)
    assert len(likelihood.operator.asked) == 1


def test_every_learned_prior_says_so():
    for kind in (NeuralPrior, HybridPrior, PrincipalPrior, FieldPrior, MomentsPrior):
        assert kind.dtype == torch.float32


def test_a_problem_is_sampled_as_its_likelihood():
    images = np.random.default_rng(3).normal(size=(40, 1, 16, 16)).astype(np.float32)
    prior = MomentsPrior.fit(images)
    problem = KappaProblem(KappaProblem.simulate({}, images, 1))
    assert problem.likelihood.y.dtype == torch.float64
    for name in ("cla", "mmps"):
        g = torch.Generator().manual_seed(2)
        x = sample_problem({"name": name, "steps": 8}, prior, problem, 4, generator=g).x
        given = problem.likelihood.to(dtype=torch.float32), problem.likelihood
        for likelihood in given:
            assert torch.equal(x, drawn(name, prior, likelihood, sigma_max=prior.sigma_max))
