r"""Likelihood of maps that are too large to decompose: independent noise and an operator with A A' <= 1.

For such an operator, for example the shear of a map with holes, split Gibbs needs no decomposition. Given x, let
:math:`z = x + \rho\, \epsilon` and let the data be :math:`y = A z + n`, with n of covariance
:math:`\Sigma - \rho^2 A A^\top`. Then y given x has the covariance :math:`\Sigma` for any :math:`\rho`, and

.. math:: z \mid x, y \;=\; z_0 + \rho^2 A^\top \Sigma^{-1} (y - A z_0 - n_0)

with :math:`z_0, n_0` drawn from their laws (conditioning by kriging). The noise is
:math:`(\Sigma - \rho^2)^{1/2} \eta + \rho\, w` with w of covariance :math:`1 - A A^\top`, which the operator draws
(`complement`). If :math:`\rho` is larger than the noise of a datum, that datum gets the noise :math:`\rho`.

References: Wu et al. (2024), arXiv:2405.18782 (split Gibbs); Hoffman & Ribak (1991), ApJ 380, L5 (constrained
realisations). Subtracting the coupling from the noise is not in the papers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from skyscore.operators.base import LinearOperator

from .gaussian import GaussianLikelihood, Spectrum

__all__ = ["MatrixFreeLikelihood"]


class MatrixFreeLikelihood(GaussianLikelihood):
    """Gaussian likelihood with independent noise, for operators with A A' at most the identity.

    Arguments:
        operator: forward model with A A' at most the identity, and a method `complement`.
        y: data `(M,)`, or `(O, M)` of O observations.
        std: standard deviation of their noise, `(M,)`, in units of y.
    """

    decomposable = False

    operator: Any

    def __init__(self, operator: LinearOperator, y: Tensor, std: Tensor):
        super().__init__(operator, y, std)

    @property
    def sharpest(self) -> float:
        """Upper bound of the singular values of the whitened operator."""
        return 1 / float(self.std.min())

    def spectrum(self) -> Spectrum:
        """Refuses: the operator is too large to decompose.

        Raises:
            ValueError: always.
        """
        raise ValueError(
            f"{type(self.operator).__name__} of {math.prod(self.operator.in_shape)} pixels is too large to decompose; "
            "use pnpdm with matched: true, without a direct regression (regression: 0)"
        )

    def coupled(self, x: Tensor, rho: float, white: Callable[..., Tensor]) -> Tensor:
        """Draws z given x and the data, `(B, D)`.

        Arguments:
            x: images `(B, D)`; B is a multiple of the number of observations.
            rho: coupling, in prior units.
            white: function that returns standard normal noise `(B, *shape)` for a shape.
        """
        shape, y = self.operator.in_shape, self.y.reshape(-1, self.y.shape[-1])
        y = y.repeat_interleave(len(x) // len(y), dim=0)
        variance = self.std.to(x.dtype).square().clamp(min=1.001 * rho**2)
        z = x + rho * white(x.shape[1])
        noise = (variance - rho**2).sqrt() * white(len(variance)) + rho * self.operator.complement(white)
        r = y - self.operator(z.reshape(-1, *shape)) - noise
        return z + rho**2 * self.operator.adjoint(r / variance).flatten(1)
