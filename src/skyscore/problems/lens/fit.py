r"""Fit of a strong lens: mass, lens light and source together.

For given nonlinear parameters :math:`\theta` (mass: Einstein radius, ellipticity, centre, slope, shear; light: centre
and ellipticities) the data are linear in the source pixels s and the light amplitudes a (semi-linear inversion).
These are eliminated exactly, and only :math:`\theta` is searched:

.. math:: F(\theta) = \min_{s, a} \; \|w (y - A_\theta s - L_\theta a)\|^2 + \lambda \, s^\top R s
    + \|(a - a_0) / \delta_a\|^2 + \|(\theta - \theta_0) / \delta_\theta\|^2

by Levenberg-Marquardt with variable projection. The gradient only needs :math:`\partial(A_\theta s + L_\theta a)` at
fixed (s, a); the Gauss-Newton matrix needs the same images with the part that (s, a) can absorb projected out. R
penalises differences between neighbouring pixels, including the border, outside which the source is zero. The strength
:math:`\lambda` maximises the evidence, by the fixed point of MacKay (1992).

The source is a plain regularised grid here, because this fit is used for the lens only. The learned prior enters later.

References: Warren & Dye (2003), astro-ph/0302587; Suyu et al. (2006), astro-ph/0601493; Golub & Pereyra (2003),
Inverse Problems 19, R1 (variable projection).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from skyscore.operators.convolution import Convolution
from skyscore.operators.lensing import deflection, lens_operator, pixel_grid

from .light import LightModel, axis_ratio_angle

__all__ = ["MASS", "FitResult", "LensFit", "mass_parameters"]

#: name: (prior mean, prior standard deviation, step of the finite differences); lengths in arcsec
MASS = {
    "theta_E": (1.5, 0.3, 2e-3),
    "e1": (0.0, 0.2, 2e-3),
    "e2": (0.0, 0.2, 2e-3),
    "x0": (0.0, 0.1, 2e-3),
    "y0": (0.0, 0.1, 2e-3),
    "t": (1.0, 0.1, 4e-3),
    "gamma_1": (0.0, 0.05, 2e-3),
    "gamma_2": (0.0, 0.05, 2e-3),
}


def mass_parameters(theta: Tensor) -> dict[str, float]:
    """The lens of :func:`skyscore.operators.lensing.deflection` from the first eight fit parameters.

    They are in the order of MASS.
    """
    values = dict(zip(MASS, map(float, theta[: len(MASS)]), strict=True))
    q, phi = axis_ratio_angle(values.pop("e1"), values.pop("e2"))
    return {**values, "q": q, "phi": phi}


@dataclass
class FitResult:
    """Result of one fit.

    Attributes:
        theta, theta_error: nonlinear parameters and their formal errors (0 for fixed ones), shape `(P,)`.
        objective, chi2: F, and the weighted squares per pixel, at the minimum.
        strength: lambda.
        center: middle of the source grid (arcsec).
        source: source image, `(n, n)`.
        amplitudes: light amplitudes, `(K,)`.
        light, arcs: model images `(H, W)` of lens light and lensed source.
        history: F after each iteration.
    """

    theta: Tensor
    objective: float
    chi2: float
    strength: float
    center: tuple[float, float]
    source: Tensor
    amplitudes: Tensor
    light: Tensor
    arcs: Tensor
    theta_error: Tensor
    history: list[float] = field(default_factory=list)


class LensFit:
    """Creates the fit of one image.

    Arguments:
        image: `(H, W)`.
        weight: 1 / standard deviation, `(H, W)`; 0 for pixels left out.
        psf: on image pixels, odd sides.
        scale: image pixel (arcsec).
        light: basis of the lens light on the same pixels.
        amplitudes: mean and standard deviation of the Gaussian prior of the amplitudes, each `(K,)`.
        source_pixels, source_width: side of the source grid, in pixels and in arcsec.
        arcs: `(H, W)` brightness of the arcs (image minus first lens light, clipped), on which the source grid is
            centred.
        theta_0, theta_sd: prior of all nonlinear parameters; a standard deviation of 0 holds a parameter fixed.
        subpixels: rays per side of an image pixel.
    """

    def __init__(
        self,
        image: Tensor,
        weight: Tensor,
        psf: Tensor,
        scale: float,
        light: LightModel,
        amplitudes: tuple[Tensor, Tensor],
        source_pixels: int,
        source_width: float,
        arcs: Tensor,
        theta_0: Tensor,
        theta_sd: Tensor,
        subpixels: int = 2,
    ):
        self.image, self.psf, self.scale, self.light_model = image, psf, scale, light
        self.keep = weight > 0
        self.w, self.y = weight[self.keep], image[self.keep]
        self.a0, self.a_sd = amplitudes
        self.n, self.source_scale, self.arcs = source_pixels, source_width / source_pixels, arcs
        self.theta_0, self.theta_sd, self.subpixels = theta_0, theta_sd, subpixels
        self.R = _roughness(source_pixels)
        self.free = theta_sd > 0
        steps = [step for *_, step in MASS.values()]
        self.steps = torch.tensor(steps + [2e-3] * (len(theta_0) - len(steps)), dtype=torch.float64)
        self._light_cache: tuple[Tensor, Tensor] | None = None

    # ------------------------------------------------------------------ linear part

    def center(self, theta: Tensor) -> tuple[float, float]:
        """Brightness-weighted mean (arcsec) of the arcs traced to the source plane: the middle of the source grid."""
        x, y = pixel_grid(self.image.shape, self.scale)
        use = self.arcs > 0
        ax, ay = deflection(x[use], y[use], mass_parameters(theta))
        w = self.arcs[use] / self.arcs[use].sum()
        return float((w * (x[use] - ax)).sum()), float((w * (y[use] - ay)).sum())

    def light(self, theta: Tensor) -> Tensor:
        """Light basis `(K, H, W)` for the parameters that follow the mass in theta."""
        p = theta[len(MASS) :]
        if self._light_cache is None or not torch.equal(self._light_cache[0], p):
            self._light_cache = (p.clone(), self.light_model.basis(p))
        return self._light_cache[1]

    def system(self, theta: Tensor, center: tuple[float, float] | None = None) -> dict:
        """The linear problem at theta: weighted columns B `(M, D + K)`, their Gram matrix, the right-hand side.

        The columns are float32, which halves the time and is accurate enough for a fit. All later algebra is float64.
        """
        center = self.center(theta) if center is None else center
        D, shape = self.n**2, tuple(self.image.shape)
        A: Any = lens_operator(
            mass_parameters(theta), shape, self.scale, (self.n, self.n), self.source_scale, center, self.psf, self.keep,
            self.subpixels,
        )  # fmt: skip
        light = self.light(theta)[:, self.keep].T
        B = torch.empty(len(self.y), D + light.shape[1], dtype=torch.float32)
        A.to(dtype=torch.float32).matrix(out=B[:, :D])
        B[:, D:] = light
        B *= self.w[:, None].float()
        H = (B.T @ B).double()
        H[range(D, len(H)), range(D, len(H))] += self.a_sd**-2
        rhs = (B.T @ (self.w * self.y).float()).double()
        rhs[D:] += self.a0 / self.a_sd**2
        return dict(theta=theta, center=center, B=B, H=H, rhs=rhs)

    def solve(self, system: dict, strength: float) -> dict:
        """The linear optimum: the system with F, chi2, s, a, the residual and the factor L of the normal matrix."""
        D, theta, B = self.n**2, system["theta"], system["B"]
        H = system["H"].clone()
        H[:D, :D] += strength * self.R
        L = torch.linalg.cholesky(H)
        u = torch.cholesky_solve(system["rhs"][:, None], L)[:, 0]
        residual = self.w * self.y - (B @ u.float()).double()
        s, a = u[:D], u[D:]
        rough, chi2 = float(s @ self.R @ s), float(residual @ residual)
        shift = (theta - self.theta_0)[self.free] / self.theta_sd[self.free]
        F = chi2 + strength * rough + float((((a - self.a0) / self.a_sd) ** 2).sum()) + float(shift @ shift)
        return system | dict(F=F, chi2=chi2, rough=rough, s=s, a=a, residual=residual, L=L)

    def evidence_strength(self, at: dict, strength: float) -> float:
        """Fixed-point update of lambda: (number of source coefficients that the data determine) / s' R s."""
        D = self.n**2
        inverse = torch.cholesky_inverse(at["L"])[:D, :D]
        determined = D - strength * float((inverse * self.R).sum())
        return max(determined, 1.0) / at["rough"]

    # ------------------------------------------------------------------ nonlinear part

    def image_of(self, theta: Tensor, at: dict, mass: bool) -> Tensor:
        """Weighted model image (M,) at theta, of the fixed source (`mass`) or of the fixed light amplitudes."""
        if not mass:
            model = torch.einsum("k,khw->hw", at["a"], self.light_model.basis(theta[len(MASS) :]))
            return self.w * model[self.keep]
        k = self.subpixels
        fine = tuple(k * (n + p // 2 * 2) for n, p in zip(self.image.shape, self.psf.shape, strict=True))
        x, y = pixel_grid(fine, self.scale / k)
        ax, ay = deflection(x, y, mass_parameters(theta))
        half = self.n * self.source_scale / 2
        grid = torch.stack(((x - ax - at["center"][0]) / half, (y - ay - at["center"][1]) / half), -1)
        source = at["s"].reshape(1, 1, self.n, self.n)
        traced = torch.nn.functional.grid_sample(source, grid[None], "bilinear", "zeros", align_corners=False)
        traced = torch.nn.functional.avg_pool2d(traced, k)
        return self.w * Convolution(self.psf, tuple(self.image.shape), padded=True)(traced)[0, 0][self.keep]

    def run(
        self, theta: Tensor, strength: float, iterations: int = 12, tolerance: float = 1e-4, adapt: int = 4
    ) -> FitResult:
        """Levenberg-Marquardt from `theta`; lambda follows the evidence for the first `adapt` iterations."""
        theta, damping, history = theta.clone(), 1e-2, []
        at = self.solve(self.system(theta), strength)
        for i in range(iterations):
            if i < adapt:
                strength = self.evidence_strength(at, strength)
                at = self.solve(at, strength)
            history.append(at["F"])
            step, _ = self._newton(theta, at)
            for _ in range(6):
                delta = step(damping)
                trial_theta = theta.clone()
                trial_theta[self.free] += delta
                trial = self.solve(self.system(trial_theta), strength)
                if trial["F"] < at["F"]:
                    break
                damping *= 6
            else:
                break
            improvement = at["F"] - trial["F"]
            theta, at, damping = trial_theta, trial, max(damping / 6, 1e-6)
            if i >= adapt and improvement < tolerance * len(self.y):
                break
        history.append(at["F"])
        error = torch.zeros_like(theta)
        error[self.free] = torch.linalg.inv(self._newton(theta, at)[1]).diag().sqrt()
        light = torch.einsum("k,khw->hw", at["a"], self.light(theta))
        arcs = torch.zeros_like(self.image)
        arcs[self.keep] = (at["B"][:, : self.n**2] @ at["s"].float()).double() / self.w
        return FitResult(
            theta,
            at["F"],
            at["chi2"] / len(self.y),
            strength,
            at["center"],
            at["s"].reshape(self.n, self.n),
            at["a"],
            light,
            arcs,
            error,
            history,
        )

    def _newton(self, theta: Tensor, at: dict):
        """The damped Gauss-Newton step as a function of the damping, and the Gauss-Newton matrix."""
        columns = []
        for p in self.free.nonzero()[:, 0].tolist():
            h, mass = torch.zeros_like(theta), p < len(MASS)
            h[p] = self.steps[p]
            plus, minus = (self.image_of(theta + sign * h, at, mass) for sign in (1, -1))
            columns.append((plus - minus) / (2 * self.steps[p]))
        J = torch.stack(columns, 1)
        C = (at["B"].T @ J.float()).double()
        absorbed = C.T @ torch.cholesky_solve(C, at["L"])
        sd = self.theta_sd[self.free]
        N = J.T @ J - absorbed + torch.diag(sd**-2)
        g = J.T @ at["residual"] - (theta - self.theta_0)[self.free] / sd**2
        return (lambda damping: torch.linalg.solve(N + damping * torch.diag(N.diag()), g)), N


def _roughness(n: int) -> Tensor:
    """R, shape `(n^2, n^2)`: squared differences of neighbours, including the zero border around the grid."""
    T = 2 * torch.eye(n, dtype=torch.float64) - torch.diag(torch.ones(n - 1, dtype=torch.float64), 1)
    T = T - torch.diag(torch.ones(n - 1, dtype=torch.float64), -1)
    I = torch.eye(n, dtype=torch.float64)
    return torch.kron(T, I) + torch.kron(I, T) + 1e-6 * torch.eye(n * n, dtype=torch.float64)
