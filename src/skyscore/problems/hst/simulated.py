"""Simulated deep images: one scene seen through a broad PSF with a detector's noise, and through a sharp PSF."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from skyscore.operators.sampling import exposures
from skyscore.simulate.noise import Noise

from .noise import measure

__all__ = ["AXES", "draw_noise", "moffat_psf", "simulate_hst"]

AXES = {"images": ("exposure", "y", "x"), "xi": ("lag_y", "lag_x")}  # of the arrays that are not plain images

MEASURED = 1500  # realisations from which the Gaussian moments are measured


def moffat_psf(fwhm: float, beta: float, half_width: float = 4.0) -> np.ndarray:
    """Moffat profile of unit sum: `fwhm` in pixels, wings r^(-2 beta), odd sides that extend to `half_width` widths.

    Reference: Moffat (1969), A&A 3, 455.
    """
    half = max(2, math.ceil(half_width * fwhm))
    t = np.arange(-half, half + 1)
    core = fwhm / 2 / math.sqrt(2 ** (1 / beta) - 1)
    psf = (1 + (t[:, None] ** 2 + t**2) / core**2) ** -beta
    return psf / psf.sum()


def draw_noise(n: int, pixels: int, law: dict[str, Any] | None, seed: int) -> np.ndarray:
    """n exposures `(n, 1, pixels, pixels)` of noise, in units of the core's standard deviation."""
    return Noise.simulate(n, pixels, law or {}, seed)


def simulate_hst(
    s: dict[str, Any], images: np.ndarray, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of one observation of one of `images` (n, 1, h, w); `seed` draws the image and the noise.

    The flux unit is that of the prior, so the flux scale is 1 by construction. The standard deviation of the noise's
    core is set so that a median image of the population has the requested signal-to-noise ratio. It is the same for
    every truth.

    Arguments:
        s: complete settings, see `problems/hst/settings.yaml`.
    """
    g = np.random.default_rng(seed)
    truth = np.asarray(images[g.integers(len(images))], dtype=np.float64)  # (1, h, w)
    pixels, dithers = truth.shape[-1], s["dithers"]
    side = s["frame_pixels"] or pixels
    psf, sharp_psf = (moffat_psf(s[key] / s["scale"], s["psf_beta"]) for key in ("psf_fwhm", "sharp_fwhm"))
    broad = exposures(torch.from_numpy(psf), (pixels,) * 2, s["scale"], (side,) * 2, s["data_scale"], dithers)
    sharp = exposures(torch.from_numpy(sharp_psf), (pixels,) * 2, s["scale"], (pixels,) * 2, s["scale"])
    peaks = broad(torch.as_tensor(np.asarray(images[:256], dtype=np.float64))).amax((1, 2, 3))
    std = float(peaks.median()) / s["snr"]
    noise = draw_noise(len(dithers), side, s["noise"], int(g.integers(2**31)))[:, 0]
    mean, xi = measure(draw_noise(MEASURED, side, s["noise"], int(g.integers(2**31))))
    clean = sharp(torch.from_numpy(truth)[None])[0, 0].numpy()
    clean_std = std / s["sharp_depth"]
    arrays = {
        "images": broad(torch.from_numpy(truth)[None])[0].numpy() + std * noise,  # (E, H, W)
        "psf": psf,
        "xi": xi,
        "sharp": clean + clean_std * g.standard_normal(clean.shape),
        "sharp_psf": sharp_psf,
        "truth": truth,
    }
    unit = "prior units"
    attrs = {
        "settings": s,
        "pixels": pixels,
        "scale": s["scale"],
        "data_scale": s["data_scale"],
        "dithers": dithers,
        "noise": s["noise"],
        "noise_std": std,
        "noise_mean": mean,
        "sharp_std": clean_std,
        "unit": unit,
        "units": dict.fromkeys(("images", "sharp", "truth"), unit) | {"xi": "core sigma squared"},
        "axes": AXES,
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "numbers": {
            "noise_variance": float(xi[side - 1, side - 1]),
            "noise_std": std,
            "exposures": len(dithers),
        },
    }
    return arrays, attrs
