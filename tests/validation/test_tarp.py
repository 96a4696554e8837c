"""Coverage: the null, what it must see, the band, the reference points, and the `tarp` package where it is right.

The toy has a closed form: truths N(0, 1)^D, data y = truth + N(0, 1), posterior N(y / 2, 1 / 2). Seeds are fixed; the
chance that a right implementation fails is stated beside each bound.
"""

import numpy as np
import pytest
from scipy import stats

from skyscore.validation import tarp
from skyscore.validation.tarp import band_of_uniform_ranks
from tests.helpers.closed_forms import toy


@pytest.mark.parametrize("references", ["between", "sample", "other", "data"])
def test_p_values_of_exact_posteriors_are_uniform(references):
    p, inside = [], 0
    for seed in range(60):
        samples, truths, y = toy(seed)
        result = tarp(samples, truths, y / 2 if references == "data" else references, seed=seed)
        p.append(result.p_value)
        inside += result.inside
    assert stats.kstest(p, "uniform").pvalue > 1e-3  # fails by chance with 0.1 per cent
    assert inside >= 55  # expected 59.4 of 60; fewer than 55 by chance with 0.003 per cent


@pytest.mark.parametrize(
    ("wrong", "references"),
    [
        ({"spread": 0.8}, None),
        ({"spread": 1.25}, None),
        ({"spread": 0.8}, "data"),
        ({"shift": 0.5}, "data"),
        ({"gain": 1.5}, "other"),
    ],
)
def test_wrong_posteriors_are_seen(wrong, references):
    seen = 0
    for seed in range(10):
        samples, truths, y = toy(seed, **{"D": 64} | wrong)
        result = tarp(samples, truths, y / 2 if references == "data" else references, seed=seed)
        seen += result.p_value < 0.01 and not result.inside
    assert seen >= 9


def test_the_prior_is_told_from_the_posterior_by_references_that_know_the_data():
    _, truths, y = toy(0, N=300)
    prior = np.random.default_rng(1).standard_normal((100, *truths.shape))
    assert tarp(prior, truths, y / 2).p_value < 1e-10
    assert tarp(prior, truths, np.random.default_rng(2).standard_normal(truths.shape)).p_value > 0.01


def test_coverage_is_alpha_at_the_levels_of_few_samples():
    """ECP at (k + 1) / (S + 1) has mean alpha exactly; at j / S it would not, by 1 / 5 for 4 samples."""
    curves = [tarp(*toy(seed, N=200, S=4)[:2], "other", seed=seed).ecp for seed in range(40)]
    result = tarp(*toy(0, N=200, S=4)[:2], "other")
    assert result.alpha == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    # 8,000 ranks: standard error 0.005; four of them
    assert np.mean(curves, axis=0) == pytest.approx(result.alpha, abs=0.022)


def test_band_holds_its_level():
    """Fresh uniform ranks leave the simultaneous band in 1 per cent of draws, the pointwise one more often."""
    N, S = 64, 16
    simultaneous, pointwise = band_of_uniform_ranks(N, S, 0.99, 4000)
    g = np.random.default_rng(7)
    counts = g.multinomial(N, np.full(S + 1, 1 / (S + 1)), size=20000).cumsum(1) / N
    left = ((counts < simultaneous[0, 1:]) | (counts > simultaneous[1, 1:])).any(1).mean()
    assert 0.004 < left < 0.016  # discreteness and the 4,000 draws behind the band
    single = ((counts < pointwise[0, 1:]) | (counts > pointwise[1, 1:])).mean(0)
    assert single[:-1].max() < 0.013
    assert (pointwise[0] >= simultaneous[0]).all() and (pointwise[1] <= simultaneous[1]).all()
    assert simultaneous[:, 0].tolist() == [0, 0] and simultaneous[:, -1].tolist() == [1, 1]


def test_small_p_values_go_on():
    samples, truths, y = toy(0, N=300, S=50, D=64, spread=0.5)
    assert tarp(samples, truths, y / 2).p_value < 1e-30


def test_shared_ancestry():
    """Copies make an exact posterior look too narrow; one sample per ancestor does not."""
    seen = kept = 0
    for seed in range(20):
        few, truths, y = toy(seed, N=256, S=4, D=8)
        labels = np.random.default_rng(seed).integers(4, size=(16, len(truths)))
        samples = np.take_along_axis(few, labels[..., None], axis=0)
        seen += not tarp(samples, truths, y / 2).inside
        result = tarp(samples, truths, y / 2, ancestry=labels)
        kept += result.inside
        assert result.kept <= 4
    assert seen >= 15 and kept >= 18  # two rejections in 20 by chance: 1.7 per cent


def test_bootstrap_draws_simulations():
    samples, truths, y = toy(0, N=200)
    result = tarp(samples, truths, y / 2, bootstrap=400)
    ecp = result.ecp[8]
    assert result.bootstrap.std(0)[8] == pytest.approx(np.sqrt(ecp * (1 - ecp) / 200), rel=0.15)


def test_arguments_are_left_alone_and_checked():
    samples, truths, y = toy(0)
    before = samples.copy(), truths.copy()
    tarp(samples, truths, y)
    assert (samples == before[0]).all() and (truths == before[1]).all()
    with pytest.raises(ValueError, match="do not fit"):
        tarp(samples, truths[:-1])
    with pytest.raises(ValueError, match="references"):
        tarp(samples, truths, y[:, :-1])
    with pytest.raises(ValueError, match="give an array"):
        tarp(samples, truths, "nearby")
    with pytest.raises(ValueError, match="not finite"):
        tarp(np.where(samples > 2, np.nan, samples), truths)


def test_tensors_and_images_are_taken():
    import torch

    samples, truths, y = toy(0)
    as_images = tarp(
        torch.as_tensor(samples).reshape(16, 64, 4, 4), torch.as_tensor(truths).reshape(64, 4, 4), y
    )
    assert (as_images.ranks == tarp(samples, truths, y).ranks).all()


def test_agrees_with_the_tarp_package_where_it_is_right():
    """Its curve at f = j / S, with the same references, for posteriors whose f reaches from 0 to 1."""
    package = pytest.importorskip("tarp")
    samples, truths, y = toy(3, N=400, S=41)
    state = np.random.get_state()  # noqa: NPY002 (the package seeds the global generator)
    theirs, alpha = package.get_tarp_coverage(
        samples.copy(), truths.copy(), references=y, num_alpha_bins=8, norm=False
    )
    np.random.set_state(state)  # noqa: NPY002
    ours = tarp(samples, truths, y)
    assert alpha == pytest.approx(np.arange(9) / 8)  # no j / 41 is an edge, where rounding would decide
    assert theirs == pytest.approx(ours.ecp[np.ceil(41 * alpha).astype(int) + (alpha == 1)], abs=1e-12)
