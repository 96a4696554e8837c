"""MIRA: calibrated on exact posteriors, two-sided, its error, and the `mira_score` package where it is right."""

import numpy as np
import pytest

from skyscore.validation import mira
from skyscore.validation.mira import calibrated_score
from tests.helpers.closed_forms import toy


def test_calibrated_value():
    """(2 N + 3) / (3 (N + 1)): .700 for 10 samples in all, .670 for 100 (arXiv:2605.02014)."""
    assert calibrated_score(9) == pytest.approx(0.7)
    assert calibrated_score(99) == pytest.approx(0.67)


@pytest.mark.parametrize("centres", ["samples", "data"])
def test_exact_posteriors_score_the_calibrated_value(centres):
    z = []
    for seed in range(60):
        samples, truths, y = toy(seed, D=8)
        z.append(mira(samples, truths, y / 2 if centres == "data" else None).z)
    # z is Student-like with 63 degrees of freedom: mean 0 +- 0.13, scatter 1 +- 0.1; four and a half of each
    assert abs(np.mean(z)) < 0.6
    assert 0.55 < np.std(z) < 1.5


def test_deviations_have_a_side():
    """Too wide scores above the calibrated value, too narrow below: the score has no maximum there."""

    def z(**wrong):
        return mira(*toy(0, N=400, S=30, D=2, **wrong)[:2]).z

    assert z(spread=0.6) < -8
    assert z(spread=1.5) > 8


def test_centres_that_know_the_data_tell_the_prior():
    _, truths, y = toy(0, N=300)
    prior = np.random.default_rng(1).standard_normal((20, *truths.shape))
    assert abs(mira(prior, truths).z) < 4
    assert abs(mira(prior, truths, y / 2).z) > 8


def test_error_is_over_truths():
    """Scatter of the mean score over fresh sets of truths is what is quoted, whatever the number of centres."""
    scores, errors = [], []
    for seed in range(60):
        samples, truths, y = toy(seed, D=4)
        other = np.roll(samples[0], 1, axis=0)
        result = mira(samples, truths, np.stack([y / 2, other, (y / 2 + other) / 2]))
        scores.append(result.score)
        errors.append(result.error)
    assert np.std(scores) == pytest.approx(np.mean(errors), rel=0.35)


def test_too_few_are_refused():
    samples, truths, _ = toy(0)
    with pytest.raises(ValueError, match="at least 3"):
        mira(samples[:2], truths)


def test_agrees_with_the_mira_score_package_where_it_is_right():
    """The same centres: its mean over random radii is ours over all of them."""
    package = pytest.importorskip("mira_score")
    import torch

    samples, truths, y = toy(1, N=50, S=12, D=3)
    torch.manual_seed(0)
    theirs, scatter = package.mira(
        torch.as_tensor(truths),
        torch.as_tensor(samples.transpose(1, 0, 2)[None]),
        num_runs=400,
        center_choice=torch.as_tensor(y / 2),
        disable_tqdm=True,
        device=torch.device("cpu"),
    )
    ours = mira(samples, truths, y / 2)
    assert ours.score == pytest.approx(float(theirs), abs=4 * float(scatter) / 20)
