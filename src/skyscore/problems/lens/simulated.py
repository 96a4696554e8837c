"""Simulated lenses: arcs of an image drawn from the prior's training distribution, seen through a given lens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from skyscore.likelihoods.noise import CorrelatedNoise
from skyscore.operators.convolution import FWHM
from skyscore.operators.lensing import annulus, lens_operator

__all__ = ["gaussian_psf", "kernel_correlation", "simulate_lens"]


def simulate_lens(
    s: dict[str, Any], images: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of one observation of one of `images` (n, 1, h, w); `seed` draws the image and the noise.

    The flux unit is that of the prior, so the flux scale is 1 by construction. The lens galaxy emits no light.

    Arguments:
        s: complete settings, see `problems/lens/settings.yaml`.
    """
    generator = np.random.default_rng(seed)
    truth = np.asarray(images[generator.integers(len(images))], dtype=np.float64)  # (1, h, w)
    shape, scale, lens = (s["image_pixels"],) * 2, s["image_scale"], s["lens"]
    psf = gaussian_psf(s["psf_fwhm"] / scale)
    source_scale = s["source_width"] / truth.shape[-1]
    operator = lens_operator(
        lens,
        shape,
        scale,
        truth.shape[-2:],
        source_scale,
        tuple(s["source_center"]),
        torch.from_numpy(psf),
        None,
        s["subpixels"],
    )
    clean = operator(torch.from_numpy(truth)[None])[0, 0]
    std = torch.full(shape, float(clean.max()) / s["snr"], dtype=torch.float64)
    rho = kernel_correlation(s["correlation"])
    law = CorrelatedNoise(std, torch.from_numpy(rho), torch.ones(shape, dtype=torch.bool))
    noise = law.sample(1, torch.Generator().manual_seed(int(generator.integers(2**31)))).reshape(shape)
    keep = annulus(shape, scale, s["annulus"], (lens["x0"], lens["y0"]))
    arrays = {
        "image": (clean + noise).numpy(),
        "std": std.numpy(),
        "psf": psf,
        "keep": keep.astype(np.uint8),
        "truth": truth,
        "noiseless": clean.numpy(),
    }
    if s["correlation"] > 0:
        arrays["rho"] = rho
    unit = "prior units"
    attrs = {
        "settings": s,
        "lens": lens,
        "source_pixels": truth.shape[-1],
        "source_scale": source_scale,
        "source_center": list(s["source_center"]),
        "image_scale": scale,
        "subpixels": s["subpixels"],
        "unit": unit,
        "units": dict.fromkeys(("image", "std", "truth", "noiseless"), unit),
        "axes": {"rho": ("lag_y", "lag_x")},
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "numbers": {"unmasked_pixels": int(keep.sum())},
    }
    return arrays, attrs


def gaussian_psf(fwhm: float) -> np.ndarray:
    """Gaussian of unit sum; `fwhm` in pixels, odd sides that extend to four standard deviations."""
    sigma = fwhm / FWHM
    half = max(1, math.ceil(4 * sigma))
    profile = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    psf = np.outer(profile, profile)
    return psf / psf.sum()


def kernel_correlation(side: float) -> np.ndarray:
    """Correlation (5, 5) of white noise smoothed by a 3 x 3 kernel with weight `side` on the four side neighbours."""
    kernel = np.zeros((3, 3))
    kernel[1], kernel[:, 1] = [side, 1, side], [side, 1, side]
    rho = np.fft.ifft2(np.abs(np.fft.fft2(kernel, (5, 5))) ** 2).real
    rho = np.roll(rho, (2, 2), (0, 1))
    return (rho + rho[::-1, ::-1]) / (2 * rho[2, 2])
