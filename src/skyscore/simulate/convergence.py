r"""Weak-lensing convergence: lognormal fields with a theoretical power spectrum, or patches of ray-traced maps.

.. math::
    \kappa = \lambda \, (e^{g - \sigma_g^2 / 2} - 1), \qquad \xi_g(r) = \ln[1 + \xi_\kappa(r) / \lambda^2]

A Gaussian field g with the correlation :math:`\xi_g` gives a field that cannot fall below :math:`-\lambda` (empty
beams), has peaks (skewness :math:`(e^{\sigma_g^2} + 2) \sqrt{e^{\sigma_g^2} - 1}`), and has exactly the correlation
:math:`\xi_\kappa`. Here that is the correlation of pixel averages, with the power

.. math:: P(k) = \Delta^{-2} \sum_m C_\ell \, W^2 \big|_{\ell = |k + 2 \pi m / \Delta|}, \qquad
    W(k) = \mathrm{sinc}(k_x \Delta / 2) \, \mathrm{sinc}(k_y \Delta / 2)

and the angular power spectrum C of halofit for sources of density :math:`n(z) \propto z^\alpha e^{-(z/z_0)^\beta}`. The
fields are periodic; patches are cut from fields four times as wide, so the patches are not periodic. One prior unit is
a convergence of 0.02 (`UNIT`), so that images are of order one.

References: Coles & Jones (1991), MNRAS 248, 1 (lognormal fields); Hilbert, Hartlap & Schneider (2011),
arXiv:1105.3980 (convergence is close to lognormal); Takahashi et al. (2012), arXiv:1208.2701 (halofit);
Chisari et al. (2019), arXiv:1812.05995 (the core cosmology library).
"""

from __future__ import annotations

import numpy as np
from tqdm import tqdm

from skyscore.units import ARCMIN

from .base import Simulator

__all__ = ["UNIT", "Convergence", "angular_power", "lognormal_power", "pixel_power"]

UNIT = 0.02  # convergence of one prior unit
WIDER = 4  # side of a field / side of a patch
ALIASES = 2  # orders of the sum over aliases; the next order adds less than 1e-3 of the power at the Nyquist frequency


class Convergence(Simulator):
    """The simulator of this module."""

    kind = "convergence"

    @staticmethod
    def simulate(n: int, pixels: int, settings: dict, seed: int, progress: bool = False) -> np.ndarray:
        """n patches `(n, 1, pixels, pixels)` in prior units.

        Four patches, one patch width apart, are cut from each field and shuffled. If `maps` are given, patches are cut
        at random positions of these maps, turned and mirrored at random, and scaled to the same units.

        Raises:
            InputError: for maps that cannot be read, are too small, or whose pixels do not divide those of a patch.
        """
        s, generator = completed(settings), np.random.default_rng(seed)
        if s["maps"]:
            return patches_of_maps(n, pixels, s, generator)
        side = WIDER * pixels
        root = np.sqrt(lognormal_power(pixel_power(s, side), s["shift"]))
        images = np.empty((-(-n // 4) * 4, 1, pixels, pixels), np.float32)
        for start in tqdm(range(0, len(images), 4), desc="fields", unit_scale=4, disable=not progress):
            g = np.fft.ifft2(root * np.fft.fft2(generator.standard_normal((side, side)))).real
            kappa = s["shift"] * np.expm1(g - 0.5 * (root**2).mean())
            blocks = kappa.reshape(WIDER, pixels, WIDER, pixels)[::2, :, ::2].swapaxes(1, 2)
            images[start : start + 4] = blocks.reshape(4, 1, pixels, pixels) / UNIT
        return images[generator.permutation(len(images))[:n]]

    @staticmethod
    def covariance(pixels: int, settings: dict) -> np.ndarray:
        """Covariance of two pixels at lags 0, 1, ... `pixels` - 1 in rows and columns, in prior units squared."""
        power = pixel_power(completed(settings), WIDER * pixels)
        return np.fft.ifft2(power).real[:pixels, :pixels] / UNIT**2


def completed(settings: dict) -> dict:
    """Settings with defaults; `maps` is the list of files of one split."""
    s = Convergence.completed(settings)
    return {**s, "maps": [] if isinstance(s["maps"], dict) else s["maps"]}


def angular_power(s: dict) -> tuple[np.ndarray, np.ndarray]:
    """Multipoles and C_ell of the convergence: halofit with the transfer function of Eisenstein & Hu, computed by
    pyccl.
    """
    import pyccl

    cosmology = pyccl.Cosmology(
        Omega_c=s["omega_m"] - s["omega_b"],
        Omega_b=s["omega_b"],
        h=s["h"],
        sigma8=s["sigma_8"],
        n_s=s["n_s"],
        transfer_function="eisenstein_hu",  # the default needs CAMB and differs by 0.3 to 1.8 per cent in C_ell
        matter_power_spectrum="halofit",
    )
    alpha, beta, z0 = s["sources"]
    z = np.linspace(0.005, z0 * 30 ** (1 / beta), 256)
    sources = pyccl.WeakLensingTracer(cosmology, dndz=(z, z**alpha * np.exp(-((z / z0) ** beta))))
    ell = np.geomspace(2, 1e6, 160)
    return ell, pyccl.angular_cl(cosmology, sources, sources, ell)


def pixel_power(s: dict, side: int) -> np.ndarray:
    """Power of pixel averages on a periodic grid `(side, side)`; its mean is the variance of a pixel."""
    ell, C = angular_power(s)
    delta = s["pixel_scale"] * ARCMIN
    k = 2 * np.pi * np.fft.fftfreq(side, delta)
    power = np.zeros((side, side))
    for m in range(-ALIASES, ALIASES + 1):
        for n in range(-ALIASES, ALIASES + 1):
            ky, kx = k[:, None] + 2 * np.pi * m / delta, k[None, :] + 2 * np.pi * n / delta
            window = np.sinc(ky * delta / (2 * np.pi)) * np.sinc(kx * delta / (2 * np.pi))
            # the mean of a field is given the power of waves twice as long as the field
            multipole = np.maximum(np.hypot(ky, kx), k[1] / 2)
            power += window**2 * np.exp(np.interp(np.log(multipole), np.log(ell), np.log(C))) / delta**2
    return power


def lognormal_power(power: np.ndarray, shift: float) -> np.ndarray:
    """Power of g, given that of the convergence on the same periodic grid.

    Raises:
        ValueError: if no Gaussian field gives this power (some modes of g would need negative power).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        gaussian = np.fft.fft2(np.log1p(np.fft.ifft2(power).real / shift**2)).real
    if not gaussian.min() >= -1e-6 * gaussian.max():
        raise ValueError(f"no lognormal field with shift {shift:g} has this power spectrum; raise the shift")
    return np.maximum(gaussian, 0)


def patches_of_maps(n: int, pixels: int, s: dict, generator: np.random.Generator) -> np.ndarray:
    """n patches `(n, 1, pixels, pixels)` in prior units from the files `s["maps"]`."""
    from skyscore import io

    factor = round(s["pixel_scale"] / s["map_scale"])
    if factor < 1 or abs(factor * s["map_scale"] / s["pixel_scale"] - 1) > 1e-3:
        raise io.InputError(
            f"convergence: pixel_scale {s['pixel_scale']:g} arcmin is not a multiple of map_scale {s['map_scale']:g}; "
            "change pixel_scale"
        )
    wide, images = pixels * factor, np.empty((n, 1, pixels, pixels), np.float32)
    share = np.array_split(np.arange(n), len(s["maps"]))
    for path, indices in zip(s["maps"], share, strict=True):
        kappa = io.read_map(path)
        if min(kappa.shape) < wide:
            raise io.InputError(
                f"{path}: the map has shape {kappa.shape}, but a patch needs {wide} pixels on a side; give a larger map"
            )
        for i in indices:
            row, column = (generator.integers(size - wide + 1) for size in kappa.shape)
            patch = kappa[row : row + wide, column : column + wide]
            patch = patch.reshape(pixels, factor, pixels, factor).mean((1, 3))
            patch = np.rot90(patch, int(generator.integers(4)))
            images[i, 0] = (patch if generator.integers(2) else patch.T) / UNIT
    return images[generator.permutation(n)]
