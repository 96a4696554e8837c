"""PQMass against the `pqm` package and against what it must see."""

import numpy as np
import pytest

from skyscore.validation.pqmass import pqmass

FAST = {"references": 50, "retessellations": 40, "permutations": 100}


def draws(seed, n=1000, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).standard_normal((n, 1, 4, 4))


def test_one_distribution():
    result = pqmass(draws(0), draws(1), **FAST, seed=0)
    assert abs(result["chi2_dof"] - 1) < 4 * result["chi2_dof_error"]
    assert result["p_value"] > 0.02


@pytest.mark.parametrize("change", [{"shift": 0.2}, {"scale": 1.25}])
def test_two_distributions(change):
    result = pqmass(draws(0), draws(1, **change), **FAST, seed=0)
    assert result["chi2_dof"] > 1.5 and result["p_value"] == pytest.approx(1 / 101)


def test_p_values_are_uniform_when_nothing_differs():
    p = [pqmass(draws(2 * k, 200), draws(2 * k + 1, 200), 20, 10, 50, seed=k)["p_value"] for k in range(40)]
    # mean of 40 uniform numbers: 0.5 +- 0.046; five standard errors
    assert abs(np.mean(p) - 0.5) < 0.23 and min(p) > 0 and max(p) <= 1


def test_agrees_with_the_pqm_package():
    pqm = pytest.importorskip("pqm")
    x, y = draws(0), draws(1, shift=0.1)
    np.random.seed(0)  # noqa: NPY002 (pqm draws from the global generator)
    theirs = (
        np.mean(pqm.pqm_chi2(x.reshape(1000, -1), y.reshape(1000, -1), num_refs=50, re_tessellation=100)) / 49
    )
    ours = pqmass(x, y, 50, 100, 20, seed=0)
    assert ours["chi2_dof"] == pytest.approx(theirs, abs=4 * ours["chi2_dof_error"])


def test_few_images_are_refused():
    with pytest.raises(ValueError, match="need at least"):
        pqmass(draws(0, 50), draws(1, 50), references=100)
    with pytest.raises(ValueError, match="cannot be compared"):
        pqmass(draws(0), draws(1)[..., :3])


def test_tessellations_that_divide_nothing_are_left_out():
    apart = np.diag(np.arange(1.0, 41))  # orthogonal: the shortest reference is nearest to all others
    with pytest.raises(ValueError, match="all images are in one cell"):
        pqmass(apart[::2], apart[1::2], references=4, retessellations=20, permutations=4)
    together = apart + np.r_[np.zeros(30), np.full(10, 500.0)][:, None] / np.sqrt(40)  # ten of them elsewhere
    found = pqmass(together[::2], together[1::2], references=4, retessellations=40, permutations=20)
    assert all(np.isfinite(value) for value in found.values())
