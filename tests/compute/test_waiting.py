"""No sampler holds a GPU up: nothing inside its levels reads a number of a tensor, nor copies one to the device.

Both are seen on a processor too, as operators that PyTorch dispatches: more levels must not mean more of them.
"""

import collections
import traceback
import warnings

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from docs.make.sampler_table import example
from skyscore.diffusion.network import Denoiser
from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import NeuralPrior, load_prior
from skyscore.samplers import SAMPLERS, sample
from skyscore.samplers.guidance import mmps
from skyscore.samplers.guidance.mmps import conjugate_gradient
from tests.helpers.training import NETWORK
from tests.helpers.workflow import ROOT

# a number is read, shapes depend on numbers, the result of a decomposition is checked; a number of Python is copied
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "check_errors", "lift_fresh")
# at each level particles ask whether to resample, and those with the whole Jacobian whether it is a covariance
ASK = {"tds", "smcdiff", "fpssmc", "mcgdiff"}
# of a learned noise, with the numbers of levels that they are run at
LEARNED = {"slic": (8, 12), "slicgibbs": (60, 90), "slichmc": (100, 140)}


class Waits(TorchDispatchMode):
    """Counts what a GPU would be waited for, by file and line of the library."""

    def __init__(self):
        super().__init__()
        self.found = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        masks = [t for a in args if isinstance(a, (list, tuple)) for t in a if isinstance(t, torch.Tensor)]
        masked = "index" in str(function) and any(t.dtype == torch.bool for t in masks)
        if masked or any(name in str(function) for name in WAITS):
            stack = traceback.extract_stack()
            own = next(f for f in reversed(stack) if "/skyscore/" in f.filename)
            # the count of steps in torch's Adam lies on the processor
            if not any("/torch/optim/" in f.filename for f in stack):
                self.found[f"{own.filename.rsplit('/', 1)[1]}: {own.line}"] += 1
        return function(*args, **(kwargs or {}))


def case(kind):
    """A prior, with a linear part or without, and data."""
    g = torch.Generator().manual_seed(0)
    if kind == "linear":
        prior = load_prior(ROOT / "weights" / "kappa32.safetensors")
    else:
        prior = NeuralPrior(Denoiser(8, 0.2, NETWORK), precision="float32")
    A = torch.randn(12, prior.shape[-1] ** 2, generator=g) / prior.shape[-1]
    likelihood = GaussianLikelihood(
        MatrixOperator(A, prior.shape), torch.randn(12, generator=g).to(A), torch.tensor(0.1)
    )
    likelihood.spectrum()
    return prior, likelihood


def waits(name, prior, likelihood, steps, **options):
    with warnings.catch_warnings(), Waits() as counted:
        warnings.simplefilter("ignore")  # particles collapse: what they cost is all that is looked at
        sample(name, prior, likelihood, 2, steps=steps, **options)
    return counted.found


@pytest.fixture
def gpu(monkeypatch):
    """As if on a GPU."""
    monkeypatch.setattr(mmps, "waits", lambda x: True)


@pytest.mark.parametrize("name", LEARNED)
def test_under_a_learned_noise_neither(name, gpu):
    few, many = LEARNED[name]
    more = waits(name, *example(learned=True), many) - waits(name, *example(learned=True), few)
    # the prior in closed form asks; no network does
    assert all(line.startswith("mixture.py") for line in more), more


@pytest.mark.parametrize("kind", ["plain", "linear"])
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name not in LEARNED])
def test_more_levels_are_no_more_waiting(name, kind, gpu):
    prior, likelihood = case(kind)
    few, many = (60, 70) if name == "hmc" else (8, 12)
    more = waits(name, prior, likelihood, many) - waits(name, prior, likelihood, few)
    if name in ASK:
        assert set(more.values()) <= {many - few, 2 * (many - few), 3 * (many - few)}, more
    else:
        assert not more


def test_gibbs_turns_neither(gpu):
    prior, likelihood = case("linear")
    few, many = (waits("pnpdm", prior, likelihood, steps, matched=True) for steps in (30, 40))
    assert many == few


def test_products_that_nobody_asks_for_change_nothing(request):
    g = torch.Generator().manual_seed(0)
    W = torch.randn(3, 20, 20, generator=g, dtype=torch.float64)
    A, b = torch.eye(20) + W @ W.mT / 20, torch.randn(3, 20, generator=g, dtype=torch.float64)
    products = []

    def matrix(v):
        products.append(1)
        return (A @ v[..., None])[..., 0], v

    def solved():
        products.clear()
        return *conjugate_gradient(matrix, b, lambda r: r, 40, 1e-6), len(products)

    v, w, asked = solved()
    request.getfixturevalue("gpu")
    v_all, w_all, all_of_them = solved()
    assert asked < all_of_them == 40
    assert torch.equal(v, v_all) and torch.equal(w, w_all)
