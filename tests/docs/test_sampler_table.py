"""The properties that samplers declare: complete, true where that can be seen, in the docs; and what they refuse."""

from pathlib import Path

import pytest
import torch

from docs.make.sampler_table import FAMILIES, example, family
from skyscore.likelihoods import MatrixFreeLikelihood
from skyscore.samplers import SAMPLERS, sample
from tests.helpers.fields import Field, instrument

ROOT = Path(__file__).resolve().parents[2]
WORDS = ("name", "reference", "failure", "exact_for")
NEEDS = ("needs_vjp", "needs_density", "needs_svd")


def test_every_sampler_is_in_the_reference():
    """In the table, and with its equations and options on the page of its family."""
    reference = ROOT / "docs" / "reference"
    table = (reference / "samplers.md").read_text()
    for name, sampler in SAMPLERS.items():
        assert f"| `{name}` |" in table
        page = (reference / "samplers" / f"{family(sampler)}.md").read_text()
        assert f".. automodule:: {sampler.__module__}\n" in page
        assert f".. autoclass:: {sampler.__module__}.{sampler.__name__}\n" in page
    assert set(map(family, SAMPLERS.values())) == set(FAMILIES)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_says_what_it_is(name):
    sampler = SAMPLERS[name]
    for key in WORDS:
        text = getattr(sampler, key)
        assert text and not set(text) & set("\n|"), key
    for key in NEEDS:
        assert isinstance(getattr(sampler, key), bool), key
    for key in ("reference", "failure"):  # its own words, and not those of the class that it derives from
        assert key in vars(sampler), key


class Curved:
    """A Gaussian likelihood of a forward model that is not linear: a density, and no singular vectors."""

    has_density, batched = True, False

    def __init__(self, y):
        self.y = y

    def log_prob(self, x):
        return -0.5 * (self.y - x.square()).square().flatten(1).sum(1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_a_sampler_cannot_do_is_one_line_with_the_remedy(name):
    needs = SAMPLERS[name].needs_density
    prior, wrong = example(learned=needs)
    with pytest.raises(ValueError, match=f"^{name}: ") as error:
        sample(name, prior, wrong, 2, steps=40)
    assert ("give likelihood.surrogate" if needs else "use mmps") in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=f"^{name}: ") as error:
        sample(name, prior, Curved(torch.ones(6).double()), 2, steps=40)
    assert "\n" not in str(error.value)
    if needs:
        assert "singular values" in str(error.value) and "GaussianLikelihood" in str(error.value)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if sampler.needs_density])
def test_a_map_too_large_to_decompose_is_refused_in_one_line(name):
    A, _ = instrument((6, 6), 0)
    ones = torch.ones(A.out_shape).double()
    prior = Field(torch.zeros(36).double(), torch.eye(36).double())
    with pytest.raises(ValueError, match=f"^{name}: .*too large.*use pnpdm with matched") as error:
        sample(name, prior, MatrixFreeLikelihood(A, ones, ones), 2, steps=40)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("tmpd", {"covariance": "row"}, "covariance must be one of rows, pixels, full"),
        ("ddrm", {"eta": 1.1}, "between 0 and 1"),
        ("ddrm", {"eta_b": -0.1}, "between 0 and 1"),
        ("ddnm", {"step": "sde"}, '"ddim" or "ddpm"'),
        ("ddnm", {"eta": 2.0}, "between 0 and 1"),
        ("ddnm", {"travel": 0}, "at least 1"),
        ("ddnm", {"repeats": 0}, "at least 1"),
        ("diffpir", {"lam": 0.0}, "lam must be positive"),
        ("diffpir", {"zeta": 1.5}, "zeta must be between 0 and 1"),
        ("daps", {"data_step": "metropolis"}, '"exact" or "langevin"'),
        ("daps", {"ode_steps": 0}, "at least 1"),
        ("daps", {"rate": 2.0}, "rate must be between 0 and 2"),
        ("dcdp", {"momentum": 1.0}, "momentum < 1"),
        ("dcdp", {"rate": 4.0}, "rate < 2"),
        ("langevin", {"tau": 1.0}, "tau must be between 0 and 1"),
        ("langevin", {"repeats": 0}, "repeats must be at least 1"),
    ],
)
def test_wrong_options_are_named_in_one_line(name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        SAMPLERS[name](steps=40, **options)
    assert str(error.value).startswith(f"{name}: ") and "\n" not in str(error.value)
