"""Maps that are too large for a decomposition, made small: a Gaussian prior of images and a shear operator."""

from __future__ import annotations

import torch

from skyscore.operators.shear import ShearOperator
from skyscore.priors import GaussianPrior

G = torch.Generator().manual_seed(0)


class Field(GaussianPrior):
    """Images `(B, 1, H, W)` as the vectors of a Gaussian prior."""

    def denoise(self, x, sigma):
        return super().denoise(x.flatten(1), sigma).reshape(x.shape)


def instrument(shape, padding):
    """Shear in 0.7 of the pixels, taken at random; the operator, and shapes of the noise that its complement needs."""
    keep = torch.rand(shape, generator=G) > 0.3
    A = ShearOperator(keep, padding)
    sky = tuple(n + 2 * padding for n in shape)
    return A, [(2, *sky)] + [sky] * (padding > 0)
