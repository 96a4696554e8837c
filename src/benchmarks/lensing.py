"""Speed of the sparse lensing operator, compared with a simulation of the same image by `caustics`."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import torch

from skyscore.operators.lensing import lens_operator

__all__ = ["bench_lensing"]

LENS = dict(theta_E=1.3, q=0.7, phi=0.6, x0=0.05, y0=-0.03, gamma_1=0.03, gamma_2=-0.02)


def bench_lensing(pixels: int = 64, repeats: int = 30, subpixels: int = 4) -> dict[str, float]:
    """Times (milliseconds, median of `repeats`) of one image of `pixels` squared, float32, with a 15 x 15 PSF.

    Both integrate every pixel over `subpixels` squared Gauss-Legendre rays of the same bilinear source.

    Returns:
        `caustics_ms`, `forward_ms`, `adjoint_ms`, `batch16_ms`, `ratio` (caustics / forward), and `difference`
        (largest, relative to the brightest pixel).
    """
    import caustics

    generator = torch.Generator().manual_seed(0)
    source = torch.zeros(pixels, pixels)
    source[2:-2, 2:-2] = torch.rand(pixels - 4, pixels - 4, generator=generator)
    axis = torch.arange(15.0) - 7
    psf = torch.exp(-(axis**2 + axis[:, None] ** 2) / 8)
    psf = psf / psf.sum()
    scale, source_scale = 5.0 / pixels, 2.4 / pixels
    A = lens_operator(LENS, (pixels, pixels), scale, source.shape, source_scale, (0.1, -0.05), psf.double(), None,
                      subpixels).to(dtype=torch.float32)  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cosmology = caustics.FlatLambdaCDM()
        mass = caustics.SIE(cosmology=cosmology, x0=0.05, y0=-0.03, q=0.7, phi=0.6, Rein=1.3)
        shear = caustics.ExternalShear(cosmology=cosmology, x0=0.0, y0=0.0, gamma_1=0.03, gamma_2=-0.02)
        lens = caustics.SinglePlane(cosmology=cosmology, lenses=[mass, shear], z_l=0.3, z_s=1.0)
        light = caustics.Pixelated(image=source, x0=0.1, y0=-0.05, pixelscale=source_scale)
        simulator = caustics.LensSource(
            lens, light, pixelscale=scale, pixels_x=pixels, psf=psf, quad_level=subpixels
        )
    x, y = source[None, None], torch.rand(1, 1, pixels, pixels, generator=generator)
    batch = x.expand(16, 1, pixels, pixels).contiguous()
    theirs, ours = simulator(), A(x)[0, 0]
    times = {
        "caustics_ms": median_ms(simulator, repeats),
        "forward_ms": median_ms(lambda: A(x), repeats),
        "adjoint_ms": median_ms(lambda: A.adjoint(y), repeats),
        "batch16_ms": median_ms(lambda: A(batch), repeats),
    }
    difference = float((ours - theirs).abs().max() / theirs.abs().max())
    return {**times, "ratio": times["caustics_ms"] / times["forward_ms"], "difference": difference}


def median_ms(call: Callable[[], object], repeats: int) -> float:
    """Median wall time of a call in milliseconds, after one warm-up call."""
    call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return 1e3 * sorted(seconds)[repeats // 2]
