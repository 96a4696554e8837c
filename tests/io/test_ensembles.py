"""Many observations by one instrument: their compressed likelihoods are the full ones, up to a constant each."""

import torch

from skyscore.problems.lens.problem import LensProblem


def problem():
    images = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    settings = {"image_pixels": 24, "image_scale": 0.2, "correlation": 0.2}
    return LensProblem(LensProblem.simulate(settings, images.numpy(), 1)), images


def test_likelihoods_of_new_observations():
    lens, x = problem()
    y = lens.observe(x, torch.Generator().manual_seed(1))
    compressed, M = lens.likelihood_of(y), y.shape[1]
    a, b = torch.rand(2, 6, 1, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    full = 0.5 * M * (lens.chi2(b[:, None], y) - lens.chi2(a[:, None], y))[:, 0]
    for o in range(6):
        one = compressed.observation(o)
        difference = one.log_prob(a[o : o + 1]) - one.log_prob(b[o : o + 1])
        assert torch.allclose(difference[0], full[o], rtol=1e-5, atol=2e-3)


def test_truths_have_unit_chi2():
    """Over 6 observations of M data, chi2 / M is 1 +- 3 sqrt(2 / 6 M)."""
    lens, x = problem()
    y = lens.observe(x, torch.Generator().manual_seed(3))
    found = lens.chi2(x[:, None], y)
    assert found.shape == (6, 1)
    assert abs(float(found.mean()) - 1) < 3 * (2 / (6 * y.shape[1])) ** 0.5
