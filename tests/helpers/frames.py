"""Frames of HST and of NIRCam of one simulated sky, written as the archives do, for tests of the problem hst."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from astropy.io import fits
from scipy.ndimage import gaussian_filter

from skyscore.problems.hst.problem import HSTProblem
from skyscore.simulate.sky import Sky
from skyscore.sky.frames import Frame

RA, DEC = 150.0, 2.0  # of the object [degree]
COARSE, FINE = 0.06, 0.03  # pixels of the two frames [arcsec]
BROAD, SHARP = 0.18, 0.07  # FWHM of a star in each, pixel included [arcsec]
FACTOR = 2.0  # one electron / s per pixel [MJy / sr]
SHIFT = (0.3, -0.2)  # offset of the NIRCam pixels from the HST pixels, x and y [NIRCam pixels]
SKY = Sky.completed(None)
#           east, north [arcsec], flux [MJy / sr arcsec^2], sigma [arcsec]
SOURCES = [(0.0, 0.0, 0.3, 0.12), (0.12, -0.06, 0.1, 0.06)]
OTHERS = [(-2.4, -2.2, 0.8, 0.08), (2.3, 1.9, 0.8, 0.10), (-2.2, 2.3, 0.8, 0.09), (2.2, -2.1, 0.8, 0.07),
          (0.2, 2.4, 0.8, 0.08), (0.1, -2.5, 0.8, 0.08)]  # fmt: skip


def settings(**changed):
    """Settings of the problem for these frames."""
    given = {
        "position": [RA, DEC], "frame_pixels": 16, "scale": FINE, "data_scale": COARSE, "psf_fwhm": BROAD,
        "sharp_fwhm": SHARP, "noise": SKY,
    }  # fmt: skip
    return HSTProblem.completed(given | changed)


def header(side: int, scale: float, shift=(0.0, 0.0), **cards) -> fits.Header:
    """North up, east left, the middle of the frame at RA, DEC but for a shift (x, y) in pixels."""
    h = fits.Header()
    for k, (kind, at, step) in enumerate((("RA---TAN", RA, -scale), ("DEC--TAN", DEC, scale)), 1):
        h[f"CTYPE{k}"], h[f"CUNIT{k}"], h[f"CRVAL{k}"] = kind, "deg", at
        h[f"CRPIX{k}"], h[f"CDELT{k}"] = (side + 1) / 2 + shift[k - 1], step / 3600
    h.update(cards)
    return h


def sky_image(
    side: int, scale: float, fwhm: float, shift=(0.0, 0.0), sources=(*SOURCES, *OTHERS)
) -> np.ndarray:
    """Gaussian sources behind a Gaussian PSF whose width has the pixel in it, (side, side) in MJy / sr."""
    t = np.arange(side) - (side - 1) / 2
    image = np.zeros((side, side))
    for east, north, flux, sigma in sources:
        var = sigma**2 + (fwhm / 2.3548) ** 2
        x, y = (t - shift[0]) * scale + east, (t - shift[1]) * scale - north
        image += flux / (2 * np.pi * var) * np.exp(-(y[:, None] ** 2 + x**2) / (2 * var))
    return image


def gaussian_psf(fwhm: float, scale: float, half: int) -> np.ndarray:
    """A Gaussian of this FWHM [arcsec] on 2 half + 1 pixels of `scale` arcsec; its peak is 1."""
    t = np.arange(-half, half + 1) * scale
    return np.exp(-(t[:, None] ** 2 + t**2) / (2 * (fwhm / 2.3548) ** 2))


def faint_frames(seed: int, shift: tuple[float, float], flux: float = 0.02) -> tuple[Frame, Frame]:
    """Frames of 110 and 220 pixels with thirty faint sources; the second is off by `shift` (its pixels)."""
    g = np.random.default_rng(seed)
    places = g.uniform(-2.8, 2.8, (30, 2))
    sources = [(east, north, flux, 0.08) for east, north in places]
    broad = sky_image(110, COARSE, BROAD, sources=sources) + 0.06 * g.standard_normal((110, 110))
    sharp = sky_image(220, FINE, SHARP, shift, sources) + 0.06 * g.standard_normal((220, 220))
    return tuple(
        Frame(image, *np.ones((2, *image.shape), bool), 0.06, np.zeros_like(image))
        for image in (broad, sharp)
    )


def changed(files, role, change, **cards):
    """Writes a frame again, its image put through `change` and header cards replaced."""
    with fits.open(files[role]) as file:
        data, h = change(file[0].data.astype(float)), file[0].header.copy()
    h.update(cards)
    fits.PrimaryHDU(data.astype(np.float32), h).writeto(files[role], overwrite=True)


def scene(pixels: int = 32) -> torch.Tensor:
    """The sources at the scene's pixels, (1, 1, pixels, pixels)."""
    return torch.from_numpy(sky_image(pixels, FINE, 0.0, sources=SOURCES))[None, None]


def chi2(problem) -> float:
    """chi2 per pixel of the held-out image under the true scene."""
    a = problem.observation
    r = (a.arrays["sharp"] - problem.sharp.operator(scene())[0, 0].numpy()) / a.attrs["sharp_std"]
    return float((r**2).mean())


def write_frames(folder: Path) -> dict[str, str]:
    """Writes frames of 6.6 arcsec. HST is in electrons / s with correlated noise; PSFs are not as wide as the stars."""
    g = np.random.default_rng(1)
    noise = gaussian_filter(g.standard_normal((110, 110)), 0.6)
    hst = sky_image(110, COARSE, BROAD) / FACTOR + 0.02 * noise / noise.std() + 0.05
    nircam = sky_image(220, FINE, SHARP, SHIFT) + 0.03 * g.standard_normal((220, 220)) - 0.01
    jansky = FACTOR * 1e6 * COARSE**2 / (180 / np.pi * 3600) ** 2
    made = {
        "f160w": (hst, header(110, COARSE, BUNIT="ELECTRONS/S", PHOTFNU=jansky)),
        "f160w_weight": (np.ones((110, 110)), None),
        "f160w_psf": (7 * gaussian_psf(0.21, COARSE, 15), None),
        "f150w": (nircam, header(220, FINE, SHIFT, BUNIT="MJy/sr")),
        "f150w_psf": (gaussian_psf(0.05, FINE, 15), None),
    }
    for role, (image, cards) in made.items():
        fits.PrimaryHDU(image.astype(np.float32), cards).writeto(folder / f"{role}.fits")
    return {role: str(folder / f"{role}.fits") for role in made}
