r"""A single Sersic profile, fitted to the data by least squares.

.. math:: I(r) = a \, \exp\big[-b_n (r / R_e)^{1/n}\big], \qquad r^2 = q u^2 + v^2 / q

(u, v: along the major and the minor axis), averaged over pixels and passed through the forward model of the problem.
The amplitude is linear and eliminated. The other six parameters are searched from several starting points.

References: Sersic (1968), Atlas de Galaxias Australes; Ciotti & Bertin (1999), A&A 352, 447, eq. 18 (b_n); Golub &
Pereyra (2003), Inverse Problems 19, R1 (variable projection).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import least_squares

from skyscore.likelihoods.gaussian import Spectrum

__all__ = ["SersicFit", "fit_sersic", "sersic"]

SUBPIXELS = 5  # points on a side of a pixel
#: lower and upper bounds of x, y, log R_e (in units of half the field), n, and the two ellipticities
LOWER = np.array([-0.9, -0.9, np.log(0.02), 0.3, -0.75, -0.75])
UPPER = np.array([0.9, 0.9, np.log(2.0), 8.0, 0.75, 0.75])


class SersicFit(NamedTuple):
    """The fitted profile.

    Attributes:
        image: `(H, W)`, in the units of the unknown.
        amplitude: a, in the same units.
        parameters: x, y, log R_e, n, e_1, e_2; lengths in units of half the field, ellipticities with e_1 + i e_2 =
            (1 - q) / (1 + q) exp(2 i phi), phi the angle of the major axis.
        chi2: sum of the squared whitened residuals, in the data space that an image can reach.
    """

    image: np.ndarray
    amplitude: float
    parameters: np.ndarray
    chi2: float


def sersic(parameters: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The profile of unit amplitude averaged over pixels, `(H, W)`; the shorter side spans -1 to 1."""
    x0, y0, log_radius, n, e1, e2 = parameters
    side = min(shape)
    y, x = (((np.arange(k * SUBPIXELS) + 0.5) / SUBPIXELS - k / 2) * 2 / side for k in shape)
    e, phi = min(np.hypot(e1, e2), 0.8), 0.5 * np.arctan2(e2, e1)
    q = (1 - e) / (1 + e)
    dx, dy = x[None, :] - x0, y[:, None] - y0
    u, v = np.cos(phi) * dx + np.sin(phi) * dy, -np.sin(phi) * dx + np.cos(phi) * dy
    r = np.sqrt(q * u**2 + v**2 / q)
    b = 2 * n - 1 / 3 + 4 / (405 * n)
    light = np.exp(-b * (r / np.exp(log_radius)) ** (1 / n))
    return light.reshape(shape[0], SUBPIXELS, shape[1], SUBPIXELS).mean((1, 3))


def fit_sersic(spectrum: Spectrum, shape: tuple[int, int], starts: int = 6, seed: int = 0) -> SersicFit:
    """The Sersic profile that fits the data best.

    Arguments:
        spectrum: of the likelihood of an image of H W pixels, in the units wanted.
        shape: `(H, W)`.
        starts: number of starting points, drawn within the bounds by `seed`.
    """
    s, d = spectrum.s.double().cpu().numpy(), spectrum.d.double().cpu().numpy()
    W = s[:, None] * spectrum.V.double().cpu().numpy().T  # d = W x + N(0, 1)

    def project(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        m = W @ sersic(parameters, shape).ravel()
        amplitude = max(float(m @ d) / max(float(m @ m), 1e-300), 0.0)
        return amplitude, amplitude * m - d

    generator = np.random.default_rng(seed)
    fits = []
    for k in range(starts):
        middle = np.array([0.0, 0.0, np.log(0.3), (1.0, 2.5)[k % 2], 0.0, 0.0])
        scatter = np.array([0.2, 0.2, 0.4, 0.2, 0.2, 0.2]) * generator.standard_normal(6)
        start = np.clip(middle + (k > 0) * scatter, LOWER + 1e-3, UPPER - 1e-3)
        fits.append(
            least_squares(lambda p: project(p)[1], start, bounds=(LOWER, UPPER), x_scale=0.1, max_nfev=60)
        )
    best = min(fits, key=lambda fit: fit.cost)
    amplitude, residual = project(best.x)
    return SersicFit(amplitude * sersic(best.x, shape), amplitude, best.x, float(residual @ residual))
