"""Fits a lens model to an image without a starting point set by hand.

1. Light alone: a multi-Gaussian expansion on pixels binned to 0.09 arcsec, fitted to the lower envelope of the image.
   Pixels above the model are arcs and are removed from the fit, repeatedly.
2. Mass, coarse: :class:`LensFit` on the binned pixels from several position angles, with the light's shape held fixed.
3. Mass and light, fine: the best of these fits on the original pixels, with all parameters free.

The white noise of these fits has the variance of the correlated noise on large scales, d^2 sum(rho). The result is
judged by the fixed correlated law (:mod:`skyscore.problems.lens.problem`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import binary_dilation, gaussian_filter, uniform_filter
from scipy.optimize import minimize
from torch import Tensor

from skyscore.operators.lensing import pixel_grid
from skyscore.sky.noise import SkyNoise

from .fit import MASS, FitResult, LensFit
from .light import LightModel, ellipticity, non_negative_amplitudes

__all__ = ["LensModel", "fit_lens"]

COARSE = 0.09  # arcsec: pixel of the coarse stages, rounded to a whole number of image pixels
FREEDOM = (
    0.3  # prior standard deviation of each light amplitude / galaxy's brightness at the Gaussian's width
)
ARC_END = 3.0  # arcsec: arcs are looked for to this radius, and to that of the fit where it is larger
ARC_START = 0.4  # arcsec: pixels closer to the centre are never counted as arcs


@dataclass
class LensModel:
    """A fitted lens.

    Attributes:
        fit: the last fit.
        sigmas: widths of the light's Gaussians (arcsec).
        amplitude_mean, amplitude_sd: Gaussian prior of the light's amplitudes, `(K,)`.
        source_width: side of the fit's source grid (arcsec).
        starts: objective, chi2 and Einstein radius reached from each start of the mass.
        seconds: wall time.
    """

    fit: FitResult
    sigmas: tuple[float, ...]
    amplitude_mean: Tensor
    amplitude_sd: Tensor
    source_width: float
    starts: list[dict]
    seconds: float


def fit_lens(
    image: np.ndarray,
    good: np.ndarray,
    noise: SkyNoise,
    psf: np.ndarray,
    scale: float,
    *,
    radius: float = 3.0,
    hole: float = 0.2,
    slope: str = "free",
    source_width: float = 2.4,
    starts: int = 4,
    coarse_pixels: int = 32,
    fine_pixels: int = 40,
) -> LensModel:
    """Fits mass, light and source of `image` (H, W), which is centred on the lens and has odd sides.

    Arguments:
        good: `(H, W)`, True where a pixel may be used.
        psf: `(p, p)`, odd.
        scale: pixel (arcsec).
        radius, hole: the fit uses pixels between these distances (arcsec) from the middle.
        slope: "free" (prior 1 +- 0.1 for t) or "isothermal".
        source_width: side of the source grid (arcsec); choose it generously.
        starts: position angles tried for the mass.
        coarse_pixels, fine_pixels: side of the source grid in the two stages; fine_pixels 0 skips the fine stage.

    Raises:
        ValueError: if no arcs are found.
    """
    clock = time.perf_counter()
    sigmas = tuple(np.geomspace(scale, 8.0, 14))
    smooth = gaussian_filter(image, 2.0)
    deviation = np.where(good, noise.deviation(smooth) * np.sqrt(noise.spread), np.inf)  # infinite: no weight
    b = max(1, round(COARSE / scale))
    coarse, coarse_psf = torch.from_numpy(_binned(image, b)), _binned_psf(psf, b)
    coarse_deviation = torch.from_numpy(np.sqrt(_binned(deviation**2, b)) / b)

    light = LightModel(tuple(coarse.shape), scale * b, coarse_psf, sigmas)
    shape, mean, residue = _lower_envelope(light, coarse, coarse_deviation, 1.5 * radius)
    arcs = _arc_light(residue, coarse_deviation, scale * b, radius)
    amplitudes = (mean, _amplitude_freedom(light, shape, mean))
    print(f"light alone: centre {shape[0]:.3f}, {shape[1]:.3f} arcsec; {time.perf_counter() - clock:.0f} s")

    theta_0 = torch.tensor([v[0] for v in MASS.values()] + list(shape), dtype=torch.float64)
    theta_sd = torch.tensor([v[1] for v in MASS.values()] + [0.0] * len(shape), dtype=torch.float64)
    names = list(MASS)
    theta_0[names.index("x0")], theta_0[names.index("y0")] = shape[0], shape[1]
    theta_0[names.index("theta_E")] = _arc_radius(arcs, scale * b, shape)
    if slope == "isothermal":
        theta_sd[names.index("t")] = 0.0

    def stage(image, deviation, arcs, psf, scale, pixels) -> LensFit:
        inner, crop = _window(image.shape, scale, radius, hole)
        weight = torch.where(inner, 1 / deviation, 0.0)[crop]
        light = LightModel(tuple(weight.shape), scale, psf, sigmas)
        data = (image[crop], weight, psf, scale, light, amplitudes)
        return LensFit(*data, pixels, source_width, arcs[crop] * inner[crop], theta_0, theta_sd)

    fit = stage(coarse, coarse_deviation, arcs, coarse_psf, scale * b, coarse_pixels)
    tried = []
    for k in range(starts):
        theta = theta_0.clone()
        theta[1], theta[2] = ellipticity(0.75, np.pi * k / starts)
        tried.append(fit.run(theta, 1e3, iterations=6, adapt=3))
        print(f"start {k + 1}/{starts}: {_summary(tried[-1])}; {time.perf_counter() - clock:.0f} s")
    lowest = sorted(tried, key=lambda result: result.objective)[:2]
    best = min(
        (fit.run(b.theta, b.strength, iterations=20) for b in lowest), key=lambda result: result.objective
    )
    print(f"best, coarse: {_summary(best)}; {time.perf_counter() - clock:.0f} s")

    if fine_pixels:
        theta_sd[len(MASS) :] = torch.tensor([0.03, 0.03] + [0.1] * (len(shape) - 2))
        full, full_deviation = torch.from_numpy(image), torch.from_numpy(deviation)
        light = LightModel(tuple(full.shape), scale, torch.from_numpy(psf), sigmas)
        residue = torch.from_numpy(smooth) - torch.einsum("k,khw->hw", mean, light.basis(shape))
        arcs = _arc_light(residue, full_deviation, scale, radius)
        fit = stage(full, full_deviation, arcs, torch.from_numpy(psf), scale, fine_pixels)
        best = fit.run(best.theta, best.strength * (coarse_pixels / fine_pixels) ** 2, iterations=8, adapt=3)
        print(f"fine: {_summary(best)}; {time.perf_counter() - clock:.0f} s")
    outcomes = [{"objective": t.objective, "chi2": t.chi2, "theta_E": float(t.theta[0])} for t in tried]
    return LensModel(best, sigmas, *amplitudes, source_width, outcomes, time.perf_counter() - clock)


def _lower_envelope(light: LightModel, image: Tensor, deviation: Tensor, radius: float, rounds: int = 6):
    """Shape parameters and amplitudes of a light fit that ignores pixels above it, and the image less that light."""
    x, y = pixel_grid(light.shape, light.scale)
    r = torch.hypot(x, y)
    inside, core = r < radius, r < ARC_START
    shape = np.array([0.0, 0.0, 0.0, 0.0, -0.1, 0.0])
    arcs = (r > ARC_START) & (r < 0.6 * radius)  # the first round uses core and halo only
    for k in range(rounds):
        weight = torch.where(inside & ~arcs, 1 / deviation, 0.0).flatten()

        def cost(p, weight=weight):
            _, chi2 = non_negative_amplitudes(light.basis(p).flatten(1), image.flatten(), weight)
            return chi2 / int((weight > 0).sum())

        size = 0.1 if k == 0 else 0.03
        simplex = shape + np.vstack([np.zeros(6), np.diag([0.2 * size] * 2 + [size] * 4)])
        options = dict(maxfev=200 if k == 0 else 60, initial_simplex=simplex)
        shape = minimize(cost, shape, method="Nelder-Mead", options=options).x
        basis = light.basis(shape)
        amplitudes, _ = non_negative_amplitudes(basis.flatten(1), image.flatten(), weight)
        residue = image - torch.einsum("k,khw->hw", amplitudes, basis)
        above = (residue > 3 * deviation) & ~core
        arcs = torch.from_numpy(binary_dilation(above.numpy()))
    return torch.from_numpy(shape), amplitudes, residue


def _arc_light(residue: Tensor, deviation: Tensor, scale: float, radius: float) -> Tensor:
    """Light `(H, W)` well above that of the lens, between ARC_START and the larger of ARC_END and `radius` (arcsec)."""
    r = torch.hypot(*pixel_grid(residue.shape, scale))
    inside = (r > ARC_START) & (r < max(ARC_END, radius))
    return torch.where((residue > 5 * deviation) & inside, residue, 0.0)


def _arc_radius(arcs: Tensor, scale: float, center: Tensor) -> float:
    """Mean distance of the arcs' light from the lens (arcsec), which is close to the Einstein radius for any source."""
    if not (arcs > 0).any():
        raise ValueError(
            "no arcs to fit: no pixel stands out above the light of the lens galaxy; check that the image is centred "
            "on the lens and that the noise map has the unit of the image"
        )
    x, y = pixel_grid(arcs.shape, scale)
    return float((torch.hypot(x - center[0], y - center[1]) * arcs).sum() / arcs.sum())


def _amplitude_freedom(light: LightModel, shape: Tensor, amplitudes: Tensor) -> Tensor:
    """Prior standard deviation of the amplitudes: a fraction of the galaxy's own brightness at each width."""
    model = torch.einsum("k,khw->hw", amplitudes, light.basis(shape))
    r = torch.hypot(*pixel_grid(light.shape, light.scale))
    largest = float(r[r.shape[0] // 2].max()) - light.scale
    at = [min(max(s, light.scale / 2), largest) for s in light.sigmas]
    profile = [float(model[(r - s).abs() < light.scale].mean()) for s in at] * light.families
    return FREEDOM * torch.tensor(
        [*profile, profile[-1]], dtype=torch.float64
    )  # the sky: that of the outermost


def _window(shape, scale: float, radius: float, hole: float) -> tuple[Tensor, tuple[slice, slice]]:
    """Pixels (H, W) between two radii, and the smallest centred square that contains them."""
    r = torch.hypot(*pixel_grid(tuple(shape), scale))
    half = int(radius / scale)
    rows, columns = (slice(max(0, n // 2 - half), n // 2 + half + 1) for n in shape)
    return (r < radius) & (r > hole), (rows, columns)


def _binned(image: np.ndarray, b: int) -> np.ndarray:
    """Mean over b x b pixels of the largest centred part with odd sides."""
    sides = [n // b - (n // b + 1) % 2 for n in image.shape]
    (i, j), (h, w) = ((n - m * b) // 2 for n, m in zip(image.shape, sides, strict=True)), sides
    return image[i : i + h * b, j : j + w * b].reshape(h, b, w, b).mean((1, 3))


def _binned_psf(psf: np.ndarray, b: int) -> Tensor:
    """The PSF on binned pixels: averaged over a binned pixel, sampled at the binned step, of unit sum."""
    half = (psf.shape[0] // 2) // b * b
    middle = psf.shape[0] // 2
    steps = slice(middle - half, middle + half + 1, b)
    wide = uniform_filter(psf, b, mode="constant")[steps, steps]
    return torch.from_numpy(wide / wide.sum())


def _summary(result: FitResult) -> str:
    p = dict(zip(MASS, result.theta.tolist(), strict=False))
    return f"theta_E {p['theta_E']:.4f} arcsec, t {p['t']:.3f}, chi2/pixel {result.chi2:.3f}, F {result.objective:.0f}"
