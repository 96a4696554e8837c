"""From fine to coarse pixels: adjoints, flux, dithers, agreement with plain sums."""

from __future__ import annotations

import pytest
import torch

from skyscore.operators.sampling import Pad, Sampling, exposures, overlap

DITHERS = [[0.0, 0.0], [0.5, 0.25], [-0.3, 0.0]]


def psf(side: int = 7) -> torch.Tensor:
    g = torch.Generator().manual_seed(2)
    p = torch.rand(side, side, generator=g, dtype=torch.float64)  # no symmetry: orientation errors show
    return p / p.sum()


@pytest.mark.parametrize(
    "operator",
    [
        Sampling((12, 10), 0.03, (8, 9), 0.07, DITHERS),
        Pad((5, 6), 3),
        exposures(psf(), (12, 12), 0.03, (10, 10), 0.06, DITHERS),
    ],
    ids=["sampling", "pad", "exposures"],
)
def test_adjoint_is_exact(operator):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(2, *operator.in_shape, generator=g, dtype=torch.float64)
    y = torch.randn(2, *operator.out_shape, generator=g, dtype=torch.float64)
    assert torch.isclose((operator(x) * y).sum(), (x * operator.adjoint(y)).sum(), rtol=1e-12)


def test_integer_ratio_is_the_plain_mean():
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    coarse = Sampling((8, 8), 1.0, (4, 4), 2.0)(x)
    assert torch.allclose(coarse, torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize("scale", [2.0, 1.7, 2.6])
def test_flux_is_conserved_for_every_ratio_and_dither(scale):
    x = torch.rand(1, 1, 9, 9, dtype=torch.float64)
    coarse = Sampling((9, 9), 1.0, (12, 12), scale, DITHERS)(x)  # the frame holds the image
    assert torch.allclose(coarse.sum((2, 3)) * scale**2, x.sum().expand(1, 3))


def test_dither_of_one_pixel_is_a_shift_of_one_pixel():
    x = torch.rand(1, 1, 16, 16, dtype=torch.float64)
    y = Sampling((16, 16), 1.0, (6, 6), 2.0, [[0, 0], [1, 0], [0, 1]])(x)[0]
    assert torch.allclose(y[1, :-1], y[0, 1:]) and torch.allclose(y[2, :, :-1], y[0, :, 1:])


def test_overlap_of_half_a_pixel():
    shares = overlap(2, 2.0, 0.25, 4, 1.0)  # shifted by half a fine pixel
    assert torch.allclose(shares, torch.tensor([[0.25, 0.5, 0.25, 0], [0, 0, 0.25, 0.5]]).double())


def test_wrong_exposures_are_refused():
    with pytest.raises(ValueError, match="0 exposures"):
        Sampling((4, 4), 1.0, (2, 2), 2.0, [])
