"""Builds the observation of a real lens from its files and records every assumption.

The noise is measured first (on the sky, then held fixed), then the lens is fitted, then the frame and the annulus of
the final inference are cut out.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from skyscore import io
from skyscore.operators.lensing import annulus, critical_area_radius, deflection, pixel_grid
from skyscore.sky.noise import SkyNoise, measure_sky_noise
from skyscore.sky.wcs import sky_cards

from .files import Imaging, read_imaging
from .fit import MASS, mass_parameters
from .light import LightModel
from .model import LensModel, fit_lens

__all__ = ["ASSUMPTIONS", "observe_lens"]

ASSUMPTIONS = [
    "lens mass: one elliptical power law with external shear, held at the fit while the source is sampled",
    "lens light: shape held at the fit, amplitudes integrated out under their prior",
    "flux scale: held at its maximum of evidence; the offset is 0",
    "noise: sky part and correlation measured outside the sky radius before any fit, photon part from the smooth model",
    "point-spread function: as supplied, scaled to unit sum; its centroid is not on its middle pixel, which shifts "
    "lens and arcs alike",
]
AXES = {  # of the arrays that are not images
    "rho": ("lag_y", "lag_x"),
    "rho_measured": ("lag_y", "lag_x"),
    "light_basis": ("component", "y", "x"),
    "light_mean": ("component",),
    "light_sd": ("component",),
    "singular_vectors": ("pixel", "mode"),
    "singular_values": ("mode",),
    "coefficients": ("mode",),
}
ORIENTATION = {
    False: "orientation on the sky: unknown; +x and +y are the axes of the image",
    True: "orientation on the sky: as given in the file; the source plane is drawn in the same axes",
}


def observe_lens(
    s: dict[str, Any], files: dict[str, str], pixels: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and attributes of the observation; the flux scale is left at 1.

    Arguments:
        s: complete settings, see `problems/lens/settings.yaml`.
        files: by role, see :func:`skyscore.problems.lens.files.read_imaging`.
        pixels: side of the source frame.

    Raises:
        InputError: for files that hold no images, do not fit together, or hold unusable pixels, and if no arcs are
            found.
    """
    scale = s["pixel_scale"]
    data = read_imaging(files, scale)
    image, half = data.image, min(data.image.shape) * scale / 2
    if half < max(s["annulus"][1], s["fit_radius"]) + 2 * scale:
        raise io.InputError(
            f"{files['image']}: the image extends to {half:.2f} arcsec, less than the annulus {s['annulus']} or the "
            f"fit radius {s['fit_radius']} arcsec need; give a wider image or smaller radii"
        )
    try:
        sky = measure_sky_noise(image, data.noise_map, scale, s["sky_radius"], exposure=data.exposure)
        print(
            f"sky noise: sigma {sky.std:.5f}, sum of rho {sky.spread:.2f}, exposure {sky.exposure:.0f} s, "
            f"{sky.pixels} pixels"
        )
        model = fit_lens(
            image,
            data.good,
            sky,
            data.psf,
            scale,
            radius=s["fit_radius"],
            slope=s["slope"],
            starts=s["starts"],
        )
    except ValueError as error:
        raise io.InputError(f"{files['image']}: {error}") from error
    return assemble(s, data, sky, model, pixels)


def assemble(s: dict[str, Any], data: Imaging, sky: SkyNoise, model: LensModel, pixels: int):
    """Arrays and attributes of a fitted lens, on the smallest frame that contains its annulus."""
    image, psf, good = data.image, data.psf, data.good
    fit, scale, unit = model.fit, s["pixel_scale"], data.unit or s["unit"]
    place = s["sky_center"] or data.center
    lens, light = mass_parameters(fit.theta), fit.theta[len(MASS) :]
    keep = annulus(image.shape, scale, s["annulus"], (lens["x0"], lens["y0"])) & good
    half = math.ceil(s["annulus"][1] / scale) + 3
    cut = tuple(slice(max(0, n // 2 - half), n // 2 + half + 1) for n in image.shape)
    # the photon noise follows the flux of the fitted model, and outside its frame that of the smoothed image
    smooth, n = gaussian_filter(image, 2.0), fit.light.shape[0]
    inner = tuple(slice(m // 2 - n // 2, m // 2 - n // 2 + n) for m in image.shape)
    flux = smooth.copy()
    flux[inner] = (fit.light + fit.arcs).numpy()
    std = sky.deviation(flux)[cut]
    arcs = np.where(keep[inner], smooth[inner] - fit.light.numpy(), 0.0)
    inside = traced_inside(arcs, sky.deviation(flux)[inner], scale, lens, fit.center, s["source_width"])
    basis = LightModel(std.shape, scale, torch.from_numpy(psf), model.sigmas).basis(light)
    arrays = {
        "image": image[cut],
        "std": std,
        "shipped_std": data.noise_map[cut],
        "psf": psf,
        "rho": sky.rho,
        "keep": keep[cut].astype(np.uint8),
        "light_basis": basis.numpy(),
        "light_mean": model.amplitude_mean.numpy(),
        "light_sd": model.amplitude_sd.numpy(),
        "fit_source": fit.source.numpy(),
        "rho_measured": sky.measured,
    }
    source_scale = s["source_width"] / pixels
    error = dict(zip(MASS, fit.theta_error.tolist(), strict=False))
    attrs = {
        "settings": s,
        "lens": lens,
        "source_pixels": pixels,
        "source_scale": source_scale,
        "source_center": list(fit.center),
        "image_scale": scale,
        "subpixels": s["subpixels"],
        "unit": unit,
        "units": dict.fromkeys(("image", "std", "shipped_std", "fit_source"), unit),
        "axes": AXES,
        "flux_scale": 1.0,
        "flux_offset": 0.0,
        "light": {"sigmas": list(model.sigmas), "parameters": light.tolist()},
        "fit": {
            "theta": dict(zip(MASS, fit.theta.tolist(), strict=False)),
            "theta_error": error,
            "starts": model.starts,
            "objective": fit.objective,
            "strength": fit.strength,
            "seconds": model.seconds,
        },
        "noise": {
            "sky_std": sky.std,
            "sum_rho": sky.spread,
            "exposure_s": sky.exposure,
            "sky_pixels": sky.pixels,
            "variance_per_flux": 1 / (sky.exposure * sky.spread),
            "variance_per_flux_on_sky": sky.slope,
        },
        "einstein_radius": "on the intermediate axis: mean convergence is 1 inside the ellipse of area pi theta_E^2",
        "assumptions": [*ASSUMPTIONS, ORIENTATION[data.transform is not None]],
    }
    attrs["numbers"] = {
        "einstein_radius_arcsec": lens["theta_E"],
        "einstein_radius_error_arcsec": error["theta_E"],
        "critical_area_radius_arcsec": critical_area_radius(lens, max(4.0, 2 * lens["theta_E"])),
        "axis_ratio": lens["q"],
        "slope": lens["t"],
        "shear": math.hypot(lens["gamma_1"], lens["gamma_2"]),
        "fit_chi2_per_pixel": fit.chi2 * sky.spread,
        "fit_seconds": model.seconds,
        "sky_sigma": sky.std,
        "noise_sum_rho": sky.spread,
        "variance_per_flux": 1 / (sky.exposure * sky.spread),
        "variance_per_flux_on_sky": sky.slope,
        "unmasked_pixels": int(keep.sum()),
        "arc_light_inside_frame": inside,
        "arc_light_inside_annulus": float(fit.arcs.numpy()[keep[inner]].sum() / fit.arcs.sum()),
    }
    if s["published_einstein_radius"] is not None:
        attrs["numbers"]["einstein_radius_over_published"] = lens["theta_E"] / s["published_einstein_radius"]
    if s["redshifts"] is not None:
        attrs["numbers"] |= distances(*s["redshifts"])
    if place is not None and data.transform is not None:
        step = data.transform / scale * source_scale / 3600
        x, y = ((pixels + 1) / 2 - offset / source_scale for offset in fit.center)
        attrs["wcs"] = sky_cards(place, step, pixels, (x, y))
    return arrays, attrs


def distances(z_lens: float, z_source: float) -> dict[str, float]:
    """Redshifts, and the proper length of one arcsec at each (kpc; Planck 2018, arXiv:1807.06209, as in astropy)."""
    from astropy.cosmology import Planck18

    kpc = [float(Planck18.kpc_proper_per_arcmin(z).value) / 60 for z in (z_lens, z_source)]
    names = ("lens_redshift", "source_redshift", "lens_kpc_per_arcsec", "source_kpc_per_arcsec")
    return dict(zip(names, (z_lens, z_source, *kpc), strict=True))


def traced_inside(
    arcs: np.ndarray, sigma: np.ndarray, scale: float, lens: dict, center, width: float
) -> float:
    """Fraction of the light of `arcs` (H, W) above 3 sigma that traces into a source frame of side `width`."""
    x, y = pixel_grid(arcs.shape, scale)
    ax, ay = deflection(x, y, lens)
    inside = ((x - ax - center[0]).abs() < width / 2) & ((y - ay - center[1]).abs() < width / 2)
    bright = np.where(arcs > 3 * sigma, arcs, 0.0)
    return float(bright[inside.numpy()].sum() / bright.sum())
