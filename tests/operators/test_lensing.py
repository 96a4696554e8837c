"""Lensing, convolution and masking: adjoints, agreement with caustics, closed forms."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch

from skyscore.operators.composition import Composition, Mask
from skyscore.operators.convolution import Convolution
from skyscore.operators.lensing import (
    RayTracing,
    annulus,
    critical_area_radius,
    deflection,
    lens_operator,
    pixel_grid,
)

LENS = dict(theta_E=1.3, q=0.7, phi=0.6, x0=0.05, y0=-0.03, gamma_1=0.03, gamma_2=-0.02)


def psf(side: int = 7) -> torch.Tensor:
    """Asymmetric on purpose: a flipped kernel would show."""
    y, x = (torch.arange(side, dtype=torch.float64) - side // 2 for _ in range(2))
    image = torch.exp(-((x - 0.4) ** 2 + 1.4 * y[:, None] ** 2 + 0.3 * x * y[:, None]) / 4)
    return image / image.sum()


def operators():
    keep = torch.from_numpy(annulus((20, 24), 0.2, (0.4, 1.9)))
    return {
        "rays": RayTracing(LENS, (20, 24), 0.2, (13, 11), 0.15, (0.1, -0.05)),
        "power law": RayTracing({**LENS, "t": 1.2}, (20, 24), 0.2, (13, 11), 0.15),
        "psf": Convolution(psf(), (20, 24)),
        "psf padded": Convolution(psf(), (20, 24), padded=True),
        "mask": Mask(keep),
        "all": lens_operator(LENS, (20, 24), 0.2, (13, 11), 0.15, (0.1, -0.05), psf(), keep),
    }


@pytest.mark.parametrize("name", operators())
def test_adjoint_is_exact(name):
    A = operators()[name]
    g = torch.Generator().manual_seed(1)
    x = torch.randn(3, *A.in_shape, generator=g, dtype=torch.float64)
    y = torch.randn(3, *A.out_shape, generator=g, dtype=torch.float64)
    forward, backward = (A(x) * y).sum(), (x * A.adjoint(y)).sum()
    assert abs(forward - backward) < 1e-13 * (A(x).norm() * y.norm())


def test_dense_matrix_gradient_and_float32():
    A = operators()["all"]
    x = torch.randn(2, *A.in_shape, dtype=torch.float64, requires_grad=True)
    dense = A.matrix(chunk=50)
    assert torch.allclose(A(x).flatten(1), x.flatten(1) @ dense.T, atol=1e-12)
    y = torch.randn(2, *A.out_shape, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((A(x) * y).sum(), x)
    assert torch.allclose(gradient, A.adjoint(y), atol=1e-12)
    A.to(dtype=torch.float32)
    single = A(x.detach().float())
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), x.detach().flatten(1) @ dense.T, atol=1e-4)


def test_convolution_is_the_sum_it_says():
    """Against the definition, on the middle of an image, and zero outside the frame (not periodic)."""
    x = torch.zeros(1, 1, 9, 10, dtype=torch.float64)
    x[0, 0, 4, 5] = 2.0
    assert torch.allclose(Convolution(psf(5), (9, 10))(x)[0, 0, 2:7, 3:8], 2 * psf(5), atol=1e-14)
    x = torch.zeros_like(x)
    x[0, 0, 0, 0] = 1.0
    assert Convolution(psf(5), (9, 10))(x)[0, 0, 5:, 5:].abs().max() < 1e-15


def test_agrees_with_caustics():
    """caustics extrapolates the outermost half pixel of a source, we let it fall to zero: the border is left empty."""
    import caustics

    n, h, scale, source_scale, center = 32, 24, 0.16, 0.1, (0.1, -0.05)
    source = torch.zeros(h, h, dtype=torch.float64)
    source[2:-2, 2:-2] = torch.rand(
        h - 4, h - 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    cosmology = caustics.FlatLambdaCDM()
    common = dict(cosmology=cosmology)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mass = caustics.SIE(x0=0.05, y0=-0.03, q=0.7, phi=0.6, Rein=1.3, **common)
        shear = caustics.ExternalShear(x0=0.0, y0=0.0, gamma_1=0.03, gamma_2=-0.02, **common)
        lens = caustics.SinglePlane(lenses=[mass, shear], z_l=0.3, z_s=1.0, **common)
        light = caustics.Pixelated(image=source, x0=center[0], y0=center[1], pixelscale=source_scale)
        simulator = caustics.LensSource(lens, light, pixelscale=scale, pixels_x=n, psf=psf(), quad_level=4)
        simulator.to(dtype=torch.float64)
        theirs = simulator()
    ours = lens_operator(LENS, (n, n), scale, (h, h), source_scale, center, psf())(source[None, None])[0, 0]
    assert (ours - theirs).abs().max() < 1e-3 * theirs.abs().max()


def test_deflection_of_a_singular_isothermal_sphere():
    """|alpha| = theta_E everywhere, towards the centre; the power law with t = 1 is the isothermal ellipsoid."""
    x, y = pixel_grid((10, 10), 0.37)
    round_lens = dict(theta_E=1.1, q=1.0, phi=0.3, x0=0.0, y0=0.0)
    ax, ay = deflection(x, y, round_lens)
    r = torch.hypot(x, y)
    assert torch.allclose(ax, 1.1 * x / r, atol=1e-5) and torch.allclose(ay, 1.1 * y / r, atol=1e-5)
    isothermal, nearly = deflection(x, y, LENS), deflection(x, y, {**LENS, "t": 1.0 + 1e-9})
    assert torch.allclose(isothermal[0], nearly[0], atol=1e-6) and torch.allclose(
        isothermal[1], nearly[1], atol=1e-6
    )


@pytest.mark.parametrize("q", [1.0, 0.6])
def test_einstein_radius_is_on_the_intermediate_axis(q):
    """The critical curve of an isothermal ellipsoid encloses pi theta_E^2 for every axis ratio."""
    lens = dict(theta_E=1.5, q=q, phi=0.4, x0=0.0, y0=0.0)
    assert math.isclose(critical_area_radius(lens), 1.5, rel_tol=3e-3)


def test_axes_and_signs():
    """Row is +y, column is +x: a source displaced to +x is seen at +x without a lens; shear stretches as it says."""
    nothing = dict(theta_E=1e-9, q=0.9, phi=0.0, x0=0.0, y0=0.0)
    x = torch.zeros(1, 1, 11, 11, dtype=torch.float64)
    x[0, 0, 5, 8] = 1.0  # 0.3 arcsec to +x
    image = RayTracing(nothing, (21, 21), 0.1, (11, 11), 0.1)(x)[0, 0]
    assert np.unravel_index(int(image.argmax()), (21, 21)) == (10, 13)
    # beta = (1 - gamma_1) x: with gamma_1 > 0 the image is stretched along x
    image = RayTracing({**nothing, "gamma_1": 0.25}, (21, 21), 0.1, (11, 11), 0.1)(x)[0, 0]
    assert np.unravel_index(int(image.argmax()), (21, 21)) == (10, 14)


def test_surface_brightness_is_conserved():
    """A uniform source much larger than the image looks uniform through any lens."""
    A = lens_operator(LENS, (16, 16), 0.2, (60, 60), 0.2, (0.0, 0.0), psf(5))
    image = A(torch.ones(1, 1, 60, 60, dtype=torch.float64))
    assert torch.allclose(image, torch.ones_like(image), atol=1e-12)


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="missing"):
        deflection(torch.zeros(2), torch.zeros(2), dict(theta_E=1.0))
    with pytest.raises(ValueError, match="odd"):
        Convolution(torch.ones(4, 5), (9, 9))
    with pytest.raises(ValueError, match="does not fit"):
        Composition(Convolution(psf(), (9, 9)), Convolution(psf(), (8, 9)))
