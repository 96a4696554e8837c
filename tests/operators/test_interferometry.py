"""The interferometer: against the sum it stands for, signs, derivatives, normal operator; weights and cells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.radio import bench_radio
from skyscore.operators.interferometry import (
    Interferometer,
    primary_beam,
    to_complex,
    to_real,
)
from skyscore.operators.toeplitz import ToeplitzNormal, dirty_beam
from skyscore.operators.uvplane import average_cells, briggs_weights, cells_of, uniform_weights
from skyscore.units import ARCSEC

SCALE = 0.1


def baselines(M: int = 200, seed: int = 0) -> np.ndarray:
    """Baselines (M, 2) in wavelengths within what pixels of SCALE show."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (M, 2)) / (SCALE * ARCSEC)


def direct(x: torch.Tensor, uv: np.ndarray, scale: float = SCALE) -> torch.Tensor:
    """The sum in the module's docstring, term by term: V (B, M) of x (B, 1, H, W)."""
    H, W = x.shape[-2:]
    east = -(torch.arange(W).double() - (W - 1) / 2) * scale * ARCSEC
    north = (torch.arange(H).double() - (H - 1) / 2) * scale * ARCSEC
    u, v = torch.from_numpy(uv).T
    phase = u[:, None, None] * east + v[:, None, None] * north[:, None]  # (M, H, W)
    return torch.einsum("bhw,mhw->bm", x[:, 0].to(torch.complex128), torch.exp(-2j * math.pi * phase))


@pytest.mark.parametrize("shape", [(16, 16), (15, 15), (12, 17)])
def test_agrees_with_the_direct_sum(shape):
    uv, x = baselines(), torch.rand(3, 1, *shape, dtype=torch.float64)
    expected = direct(x, uv)
    A = Interferometer(uv, shape, SCALE)
    assert float((to_complex(A(x)) - expected).abs().max() / expected.abs().max()) < 1e-8
    assert float((to_complex(A(x.float())) - expected).abs().max() / expected.abs().max()) < 1e-5
    assert A(x).shape == (3, *A.out_shape) and torch.equal(to_real(to_complex(A(x))), A(x))


def test_agrees_with_pytorch_finufft():
    pytorch_finufft = pytest.importorskip("pytorch_finufft")
    uv, x = baselines(), torch.rand(1, 1, 15, 15, dtype=torch.float64)
    A = Interferometer(uv, (15, 15), SCALE)
    points = torch.from_numpy(A.points)
    theirs = pytorch_finufft.functional.finufft_type2(
        points, x[0, 0].to(torch.complex128), eps=1e-12, isign=-1, modeord=0
    )
    assert torch.allclose(to_complex(A(x))[0], theirs, rtol=0, atol=1e-8 * float(theirs.abs().max()))


@pytest.mark.parametrize("beam", [None, primary_beam((12, 14), SCALE, 240.0, 3000.0)], ids=["flat", "beam"])
def test_adjoint_to_rounding(beam):
    g = torch.Generator().manual_seed(0)
    A = Interferometer(baselines(), (12, 14), SCALE, beam)
    x = torch.randn(4, *A.in_shape, generator=g, dtype=torch.float64)
    y = torch.randn(4, *A.out_shape, generator=g, dtype=torch.float64)
    left, right = (A(x) * y).sum(), (x * A.adjoint(y)).sum()
    assert abs(float(left - right)) < 1e-12 * float(A(x).norm() * y.norm())


def test_signs_and_shift_theorem():
    """A point source `s` arcsec east of the phase centre: phase -2 pi u s; north: -2 pi v s; either way amplitude S."""
    uv = baselines(50) * 0.5
    A, flux = Interferometer(uv, (9, 9), SCALE), 0.3
    for row, column, east, north in ((4, 4, 0, 0), (4, 2, 2, 0), (7, 4, 0, 3), (1, 6, -2, -3)):
        x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
        x[0, 0, row, column] = flux
        turns = (uv @ np.array([east, north])) * SCALE * ARCSEC
        expected = torch.from_numpy(flux * np.exp(-2j * np.pi * turns))
        assert torch.allclose(to_complex(A(x))[0], expected, atol=1e-9)
    # a short baseline to the east sees the phase of an eastern source fall
    x = torch.zeros(1, 1, 9, 9, dtype=torch.float64)
    x[0, 0, 4, 3] = 1.0
    V = to_complex(Interferometer(np.array([[1e4, 0.0]]), (9, 9), SCALE)(x))
    assert float(V.imag) < 0


def test_zero_baseline_is_the_flux():
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    V = to_complex(Interferometer(np.zeros((1, 2)), (8, 8), SCALE)(x))[0, 0]
    assert abs(complex(V) - float(x.sum())) < 1e-8 * float(x.sum())


def test_gaussian_source_in_closed_form():
    """V = S exp(-2 pi^2 sigma^2 (u^2 + v^2)) of a round Gaussian, well sampled."""
    n, sigma, uv = 64, 0.4, baselines(100) * 0.1
    axis = (torch.arange(n).double() - (n - 1) / 2) * SCALE
    image = torch.exp(-(axis**2 + axis[:, None] ** 2) / (2 * sigma**2))
    V = to_complex(Interferometer(uv, (n, n), SCALE)((image / image.sum())[None, None]))[0]
    expected = np.exp(-2 * np.pi**2 * (sigma * ARCSEC) ** 2 * (uv**2).sum(1))
    assert np.abs(V.numpy() - expected).max() < 1e-8


def test_derivatives_both_ways():
    A = Interferometer(baselines(20), (6, 7), SCALE)
    x = torch.randn(2, *A.in_shape, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, *A.out_shape, dtype=torch.float64, requires_grad=True)
    for map_, value in ((A, x), (A.adjoint, y)):
        assert torch.autograd.gradcheck(map_, value, check_forward_ad=True, atol=1e-6)
    assert torch.autograd.gradgradcheck(lambda x: A(x).square(), x, atol=1e-5)
    tangent = torch.randn_like(x)
    value, slope = torch.func.jvp(A, (x.detach(),), (tangent,))
    assert torch.allclose(value, A(x)) and torch.allclose(slope, A(tangent))
    gradient = torch.func.grad(lambda x: 0.5 * A(x).square().sum())(x.detach())
    assert torch.allclose(gradient, A.adjoint(A(x.detach())))
    many = torch.func.vmap(A)(torch.stack((x, tangent)).detach())
    assert torch.allclose(many[1], A(tangent), atol=1e-8)


def test_pixels_that_alias_are_refused():
    with pytest.raises(ValueError, match="alias"):
        Interferometer(baselines() * 1.3, (8, 8), SCALE)
    with pytest.raises(ValueError, match="beam"):
        Interferometer(baselines(), (8, 8), SCALE, torch.ones(8, 9))
    with pytest.raises(ValueError, match="shape"):
        Interferometer(np.zeros(4), (8, 8), SCALE)


def test_primary_beam():
    """Half power at half its FWHM, 1.13 lambda / D: 24 arcsec for 12 m at 240 GHz."""
    beam = primary_beam((129, 129), 0.2, 240.0, 12.0)
    fwhm = 1.13 * (299792458 / 240e9) / 12 / ARCSEC
    assert 23 < fwhm < 25 and float(beam[64, 64]) == 1
    assert abs(float(beam[64, 64 + round(fwhm / 2 / 0.2)]) - 0.5) < 0.01


# ---------------------------------------------------------------------------------------------- normal operator


@pytest.mark.parametrize("shape", [(16, 16), (9, 12)])
@pytest.mark.parametrize("dish", [None, 3000.0])
def test_toeplitz_is_the_normal_operator(shape, dish):
    uv = baselines(500)
    w = np.random.default_rng(1).uniform(0.1, 3, 500)
    beam = None if dish is None else primary_beam(shape, SCALE, 240.0, dish)
    A, G = Interferometer(uv, shape, SCALE, beam, eps=1e-13), ToeplitzNormal(uv, w, shape, SCALE, beam)
    x = torch.randn(3, *A.in_shape, dtype=torch.float64)
    exact = A.adjoint(torch.from_numpy(w).repeat(2) * A(x))
    assert float((G(x) - exact).norm() / exact.norm()) < 1e-8
    dense = G.matrix()
    assert torch.allclose(
        (x.flatten(1) @ dense).reshape(x.shape), exact, rtol=0, atol=1e-8 * float(exact.abs().max())
    )
    assert torch.allclose(dense, dense.T) and float(torch.linalg.eigvalsh(dense)[0]) > -1e-9 * float(
        dense.diag().max()
    )


def test_bench_compares_the_same_gradient():
    found = bench_radio(pixels=16, visibilities=500, repeats=3)
    assert found["difference"] < 1e-8 and all(value > 0 for value in found.values())


def test_dirty_beam_of_one_baseline_is_a_cosine():
    u = 0.2 / (SCALE * ARCSEC)
    T = dirty_beam(np.array([[u, 0.0]]), np.array([2.0]), (5, 5), SCALE)
    d = torch.arange(-4, 5).double()
    assert torch.allclose(T, (2 * torch.cos(2 * math.pi * 0.2 * d)).expand(9, 9), atol=1e-10)


# ---------------------------------------------------------------------------------------------- uv plane


def test_a_baseline_and_its_conjugate_share_a_cell():
    uv = np.array([[3.0, 1.0], [-3.0, -1.0], [3.2, 0.05], [-3.2, 0.05], [3.2, -0.05], [40.0, 3.0]])
    _, turned, number = cells_of(uv, 1.0)
    assert number[0] == number[1] and turned[1] and not turned[0]
    assert number[2] == number[3] == number[4] and len(np.unique(number)) == 3


def test_weights_between_natural_and_uniform():
    uv, w = baselines(3000) * 0.2, np.random.default_rng(2).uniform(0.5, 2, 3000)
    cell = 0.02 / (SCALE * ARCSEC)
    uniform = uniform_weights(uv, w, cell)
    number = cells_of(uv, cell)[2]
    assert np.allclose(np.bincount(number, uniform), 1)
    natural_like, uniform_like = (briggs_weights(uv, w, cell, R) for R in (6.0, -6.0))
    assert np.corrcoef(natural_like, w)[0, 1] > 1 - 1e-9
    assert np.corrcoef(uniform_like, uniform)[0, 1] > 1 - 1e-6
    # Briggs' definition, written out for robust 0.5
    W = np.bincount(number, w)
    f2 = (5 * 10**-0.5) ** 2 / ((W**2).sum() / w.sum())
    assert np.allclose(briggs_weights(uv, w, cell, 0.5), w / (1 + f2 * W[number]))


def test_averages_of_cells_keep_a_compact_source():
    """Over cells a tenth of 1 / field: the visibilities at the new baselines to 1 per cent, the same total weight."""
    uv, n = baselines(4000) * 0.9, 16
    w = np.random.default_rng(3).uniform(0.5, 2, len(uv))
    axis = torch.arange(n).double() - (n - 1) / 2
    x = torch.exp(-(axis**2 + axis[:, None] ** 2) / 18)[None, None]
    V = to_complex(Interferometer(uv, (n, n), SCALE)(x))[0].numpy()
    centre, mean, W = average_cells(uv, V, w, 0.1 / (n * SCALE * ARCSEC))
    again = to_complex(Interferometer(centre, (n, n), SCALE)(x))[0].numpy()
    assert len(centre) < len(uv) and abs(W.sum() - w.sum()) < 1e-9 * w.sum()
    assert np.abs(mean - again).max() < 0.01 * np.abs(V).max()
