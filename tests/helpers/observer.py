"""Files as a user would have them, written with numpy, scipy and astropy alone: none of the project's own simulators.

Each function writes the files of one block of docs/examples/own.yaml into a folder. What is on the sky is known in
closed form, so that what the workflow makes of the files can be held against it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS
from scipy.signal import fftconvolve

ARCSEC = np.pi / 180 / 3600
EINSTEIN, SOURCE = 1.4, (0.12, 0.06)  # radius and place of the source, x and y [arcsec]
MASS = (-8.0, 5.0)  # of the cluster, west and north of the middle [arcmin]
GALAXY = (0.15, -0.09)  # east and north of the position [arcsec]
DISK = (0.4, 0.25)  # east and north of the phase centre [arcsec]
PLACES = {
    "lens": (30.0, 10.0),
    "shear": (150.0, 2.0),
    "galaxy": (150.1, 2.2),
    "disk": (246.0, -24.3),
}  # degree


def header(place: str, shape: tuple[int, int], scale: float, **cards) -> fits.Header:
    """North up, east left, the middle of the image at a place; pixels of `scale` arcsec."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], ["deg", "deg"], PLACES[place]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(n + 1) / 2 for n in shape[::-1]], [-scale / 3600, scale / 3600]
    found = wcs.to_header()
    found.update(cards)
    return found


def save(path: Path, image: np.ndarray, cards: fits.Header | None = None) -> None:
    fits.PrimaryHDU(image.astype(np.float32), cards).writeto(path, overwrite=True)


def grid(n: int, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the pixels (columns and rows), the middle at 0."""
    t = (np.arange(n) - (n - 1) / 2) * scale
    return np.meshgrid(t, t)


def blob(x: np.ndarray, y: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-(x**2 + y**2) / (2 * sigma**2))


def lens(folder: Path) -> None:
    """A round isothermal lens in front of a Gaussian galaxy: the arcs at theta show the source at theta - theta_E
    theta / |theta|. Electrons / s, an exposure of 2,000 s."""
    g, n, scale, fine = np.random.default_rng(1), 85, 0.1, 3
    x, y = grid(n * fine, scale / fine)
    r = np.hypot(x, y).clip(1e-6)
    arcs = 0.5 * blob(x * (1 - EINSTEIN / r) - SOURCE[0], y * (1 - EINSTEIN / r) - SOURCE[1], 0.16)
    light = sum(a * blob(x, y / 0.85, s) for a, s in ((1.5, 0.15), (0.5, 0.4), (0.1, 1.0)))
    px, py = grid(9, scale)
    psf = blob(px, py, 0.08)
    image = (arcs + light).reshape(n, fine, n, fine).mean((1, 3))
    clean = fftconvolve(image, psf / psf.sum(), "same")
    std = np.sqrt(0.004**2 + clean.clip(0) / 2000)
    unit = {"BUNIT": "electron/s"}
    save(folder / "lens.fits", clean + std * g.standard_normal((n, n)), header("lens", (n, n), scale, **unit))
    save(folder / "lens_noise.fits", std, fits.Header(unit))
    save(folder / "lens_psf.fits", 3.0 * psf)


def tangential(west: np.ndarray, north: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shear of the cluster on axes west and north: that of a disk of convergence 0.15 and radius 5 arcmin, outside."""
    x, y = west - MASS[0], north - MASS[1]
    r2 = x**2 + y**2
    amplitude = -0.15 * np.where(r2 > 25, 25 / np.maximum(r2, 1e-9), 0) / np.maximum(r2, 1e-9)
    return amplitude * (x**2 - y**2), amplitude * 2 * x * y


def shapes(folder: Path, pixels: int) -> None:
    """A table of galaxies over a map of so many pixels of 2.5 arcmin, other names for its columns."""
    g, half = np.random.default_rng(2), pixels * 1.25
    west, north = g.uniform(-half, half, (2, round(30 * (2 * half) ** 2)))
    g1, g2 = tangential(west, north)
    ra0, dec0 = PLACES["shear"]
    dec = dec0 + north / 60
    columns = {
        "RA": ra0 - west / 60 / np.cos(np.radians(dec)),
        "Dec": dec,
        "g1": g1 + 0.25 * g.standard_normal(len(west)),
        "g2": g2 + 0.25 * g.standard_normal(len(west)),
        "weight": g.uniform(0.5, 1.0, len(west)).astype(np.float32),
    }
    table = Table(columns)
    table["RA"].unit = table["Dec"].unit = "deg"
    table.write(folder / "shapes.fits", overwrite=True)


def shear(folder: Path, pixels: int) -> None:
    """Maps of the shear on axes west and north, and of its noise; a corner without data."""
    g, cards = np.random.default_rng(3), header("shear", (pixels, pixels), 150.0)
    std = np.full((pixels, pixels), 0.03)
    fine = 5
    means = [
        one.reshape(pixels, fine, pixels, fine).mean((1, 3))
        for one in tangential(*grid(pixels * fine, 2.5 / fine))
    ]
    maps = [one + std * g.standard_normal(std.shape) for one in means]
    std[:3, :3] = 0
    for name, image in zip(("gamma_1", "gamma_2", "gamma_std"), (*maps, std), strict=True):
        save(folder / f"{name}.fits", image, cards)


def galaxy(folder: Path) -> None:
    """A frame of HST with a galaxy, two stars and blank sky, as an extension after an empty primary HDU."""
    g, n, scale = np.random.default_rng(4), 130, 0.06
    x, y = grid(n, scale)  # to the west and to the north
    fwhm = 0.16 / 2.3548
    places = ((-GALAXY[0], GALAXY[1], 0.13, 1.0), (2.4, 2.2, 0.0, 2.0), (-2.2, -2.5, 0.0, 2.0))
    image = sum(a * blob(x - w, y - v, np.hypot(s, fwhm)) for w, v, s, a in places)
    image = image + 0.3 + 0.02 * g.standard_normal((n, n))
    cards = header("galaxy", (n, n), scale, BUNIT="electron/s")
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(image.astype(np.float32), cards, name="SCI")]
    fits.HDUList(hdus).writeto(folder / "galaxy.fits", overwrite=True)
    px, py = grid(21, scale)
    save(folder / "galaxy_psf.fits", blob(px, py, fwhm))


def disk(folder: Path) -> None:
    """A Gaussian of 0.1 Jy seen by 24 antennas, as UVFITS (phases of AIPS: exp(+2 pi i (u l + v m))) and as .npz."""
    g, frequency, sigma = np.random.default_rng(5), 240e9, 0.01
    at = g.normal(0, 120, (24, 2))  # metres
    turns = np.linspace(-0.5, 0.5, 8)
    pairs = [(i, j) for i in range(24) for j in range(i + 1, 24)]
    uvw = np.array([[at[j] - at[i] for i, j in pairs]] * len(turns))  # (T, B, 2)
    c, s = np.cos(turns)[:, None], np.sin(turns)[:, None]
    u, v = c * uvw[..., 0] - s * uvw[..., 1], s * uvw[..., 0] + c * uvw[..., 1]
    seconds = np.stack((u, v), -1).reshape(-1, 2) / 299792458.0
    u, v = seconds.T * frequency  # wavelengths
    angle = 2 * np.pi * (u * DISK[0] + v * DISK[1]) * ARCSEC
    envelope = 0.1 * np.exp(-2 * np.pi**2 * (0.25 * ARCSEC) ** 2 * (u**2 + v**2))
    noise = sigma * (g.standard_normal(len(u)) + 1j * g.standard_normal(len(u)))
    V = envelope * np.exp(-1j * angle) + noise  # V = sum I exp(-2 pi i (u l + v m)), l to the east
    weights = np.full(len(u), sigma**-2)
    np.savez(folder / "disk.npz", u=u, v=v, V=V, weights=weights)

    data = np.zeros((len(u), 1, 1, 1, 1, 1, 3), np.float32)
    data[:, 0, 0, 0, 0, 0] = np.stack((V.real, -V.imag, weights), 1)
    stations = np.array([256 * (i + 1) + j + 1 for i, j in pairs] * len(turns))
    times = 2457850.0 + np.repeat(np.arange(len(turns)), len(pairs)) / 48
    parameters = {"UU": seconds[:, 0], "VV": seconds[:, 1], "BASELINE": stations, "DATE": times}
    groups = fits.GroupData(
        data,
        bitpix=-32,
        parnames=list(parameters),
        pardata=[v.astype(np.float32) for v in parameters.values()],
    )
    hdu = fits.GroupsHDU(groups)
    axes = {2: ("COMPLEX", 1.0), 3: ("STOKES", 1.0), 4: ("FREQ", frequency), 5: ("IF", 1.0)}
    axes |= {6: ("RA", PLACES["disk"][0]), 7: ("DEC", PLACES["disk"][1])}
    for k, (name, value) in axes.items():
        hdu.header.update({f"CTYPE{k}": name, f"CRVAL{k}": value, f"CDELT{k}": 1.0, f"CRPIX{k}": 1.0})
    hdu.header["BUNIT"] = "JY"
    hdu.writeto(folder / "disk.uvfits", overwrite=True)


def everything(folder: Path, pixels: int) -> None:
    """All files of docs/examples/own.yaml; maps and catalogue for a prior of so many pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in (lens, galaxy, disk):
        one(folder)
    for one in (shapes, shear):
        one(folder, pixels)
