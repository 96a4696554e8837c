"""Checks that an observed image, its noise map, PSF and mask fit together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .files import InputError


def check_imaging(
    image: np.ndarray,
    noise: np.ndarray,
    psf: np.ndarray,
    mask: np.ndarray | None = None,
    names: Mapping[str, str] | None = None,
) -> None:
    """Checks that an image, its noise map, PSF and mask fit together.

    Arguments:
        image: observed image (H, W).
        noise: standard deviation of each pixel (H, W), in the same unit.
        psf: point-spread function (h, w), odd sides, not larger than the image.
        mask: True (or non-zero) where a pixel is NOT used (H, W).
        names: file names for the message, by "image", "noise", "psf", "mask".

    Raises:
        InputError: for shapes that do not fit, NaN in a used pixel, noise that is not positive, or a PSF without flux.
    """
    name = {
        "image": "image",
        "noise": "noise map",
        "psf": "PSF",
        "mask": "mask",
        **{k: str(v) for k, v in (names or {}).items()},
    }
    if image.ndim != 2:
        raise InputError(f"{name['image']}: the image has {image.ndim} axes; give one band as a 2-D image")
    for key, array in (("noise", noise), ("mask", mask)):
        if array is not None and array.shape != image.shape:
            raise InputError(
                f"{name[key]}: shape {array.shape} does not fit the image {name['image']} {image.shape}; cut both to "
                "the same pixels"
            )
    if (
        psf.ndim != 2
        or psf.shape[0] % 2 == 0
        or psf.shape[1] % 2 == 0
        or any(p > i for p, i in zip(psf.shape, image.shape, strict=True))
    ):
        raise InputError(
            f"{name['psf']}: shape {psf.shape} cannot be used with an image of {image.shape}; "
            "give a PSF with two odd sides, not larger than the image, centred on its middle pixel"
        )
    if not np.isfinite(psf).all() or psf.sum() <= 0:
        raise InputError(f"{name['psf']}: the PSF is not finite or has no flux; give one with a positive sum")
    used = np.ones(image.shape, bool) if mask is None else ~np.asarray(mask, bool)
    if not used.any():
        raise InputError(f"{name['mask']}: all pixels are masked; check the convention, 1 = masked, 0 = used")
    bad = int((~np.isfinite(image) & used).sum())
    if bad:
        raise InputError(
            f"{name['image']}: {bad} unmasked pixel(s) are not finite (NaN or infinite); mask or repair them"
        )
    bad = int((~(np.isfinite(noise) & (noise > 0)) & used).sum())
    if bad:
        raise InputError(
            f"{name['noise']}: {bad} unmasked pixel(s) have zero, negative or non-finite noise; mask or repair them"
        )
