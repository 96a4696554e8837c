r"""SLIC on parameters: many small fits at once under a learned noise, and their coverage.

Simulation i is a source with parameters from the prior plus a realisation of the noise. Its posterior

.. math:: \nabla_u \log p(u \mid y) = -u - J_M(u)^\top s_Q(y - M(u))

(for the minus see :mod:`skyscore.likelihoods.score`) is sampled by MALA whose Metropolis test is a line integral of
this score. All chains of all simulations form one batch. Coverage is measured by TARP with the posterior's own mean as
the reference: how often balls around the estimate that contain a given fraction of the samples contain the truth. The
mean is that of the samples themselves, which are nearer to it than the truth by about 1 / S in the squared distance;
this is the same for all likelihoods.

Controls, with the same code on fewer pixels: Gaussian noise and a linear model, whose posterior is known in closed
form; Student-t noise, whose density is known, sampled by the density and by its score alone. The Gaussian likelihood
(measured mean and covariance) and that of a noise map (independent pixels, clipped variance) use the same data as the
learned one.

References: Legin et al. (2023), arXiv:2302.03046; Lemos et al. (2023), arXiv:2302.03026 (TARP).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skyscore.samplers.chains.mala import mala

from .noise_laws import GaussianLaw, LearnedLaw, StudentLaw, measured_gaussian, noise_map
from .parametric import Blob, Linearised, fisher_root
from .tarp import tarp

__all__ = [
    "Fits",
    "coverage",
    "evaluations",
    "example",
    "fit",
    "learned_and_gaussian",
    "linear_control",
    "student_control",
    "summary",
]

CLIP = 4.0  # clipping of the noise map, in robust standard deviations
NU, SCALE = 3.0, 0.8  # degrees of freedom and scale of the Student-t control
ROBUST = (2.0, 1.0)  # degrees of freedom and scale of the law from which the chains get their start
COARSE = 3.0  # noise level of the early burn-in over that of the samples
CONTROL_PIXELS = 16  # on a side
LONGER = 2  # factor on the length of chains under laws that cost almost nothing


@dataclass
class Fits:
    """Posterior samples of N simulations under one likelihood.

    Attributes:
        u: samples `(N, S, D)`, in units of the prior's sigma.
        last: final states of the chains, `(N, C, D)`.
        acceptance: fraction of accepted proposals, mean over chains.
        rhat: split potential scale reduction, mean over simulations and parameters.
    """

    u: Tensor
    last: Tensor
    acceptance: float
    rhat: float

    @property
    def mean(self) -> Tensor:
        """Posterior means `(N, D)`."""
        return self.u.mean(1)

    @property
    def sd(self) -> Tensor:
        """Posterior standard deviations `(N, D)`."""
        return self.u.std(1)


def evaluations(s: dict) -> int:
    """Number of network evaluations for the fits under the learned likelihood."""
    return s["simulations"] * s["chains"] * 2 * (s["burn"] + s["steps"] + 5)


def posterior(law, model, data: Tensor):
    """Score and log density (up to a constant) of the posterior of u `(B, D)`, given data `(B, h, w)`."""

    def score(u: Tensor) -> Tensor:
        with torch.enable_grad():
            u = u.detach().requires_grad_()
            image = model(u)
            return torch.autograd.grad(image, u, -law.score(data - image.detach()))[0] - u.detach()

    def log_prob(u: Tensor) -> Tensor:
        return law.log_prob(data - model(u)) - 0.5 * u.square().sum(1)

    return score, log_prob


def start_of(law, model, data: Tensor, chains: int, g: torch.Generator, draws: int = 200) -> Tensor:
    """Starting points `(N, C, D)`: draws of the prior, chosen by a tempered likelihood so that they are spread out."""
    u = torch.randn(draws, len(model.names), generator=g)
    images = model(u)
    log_w = torch.stack([law.log_prob(y - images) for y in data.float()])
    weights = torch.softmax(0.3 * (log_w - log_w.amax(1, keepdim=True)), 1)
    return u[torch.multinomial(weights, chains, True, generator=g)]


def fit(
    law,
    model,
    data: Tensor,
    start: Tensor,
    precision: Tensor,
    generator: torch.Generator,
    *,
    burn: int,
    steps: int,
    thin: int,
    density: bool = False,
    progress: bool = False,
    name: str = "",
) -> Fits:
    """Chains for data `(N, h, w)` from `start` `(N, C, D)`; the mass matrix is renewed half-way through the burn-in.

    Arguments:
        law: of the noise (:mod:`skyscore.validation.noise_laws`).
        precision: of the noise or its core, for the mass matrix, `(M, M)`.
        burn, steps, thin: burn-in, kept length and thinning of the chains.
        density: whether the Metropolis test uses the law's density instead of line integrals.
    """
    N, C, D = start.shape
    score, log_prob = posterior(law, model, data.repeat_interleave(C, 0).float())
    options: dict[str, Any] = {
        "log_prob": log_prob if density else None,
        "generator": generator,
        "progress": progress,
    }
    # single precision: an error of 1e-4 in log p is acceptable
    x, half = start.reshape(N * C, D).float(), burn // 2
    if half:
        mass = fisher_root(model, x, precision)
        x = mala(score, x, steps=1, burn=half, mass=mass, desc=f"{name}, burn-in", **options).x[-1]
    mass = fisher_root(model, x, precision)
    chains = mala(score, x, steps=steps, burn=burn - half, thin=thin, mass=mass, desc=name, **options)
    u = chains.x.double().unflatten(1, (N, C)).permute(1, 2, 0, 3)  # (N, C, kept, D)
    return Fits(u.flatten(1, 2), u[:, :, -1], float(chains.acceptance.mean()), split_rhat(u))


def split_rhat(u: Tensor) -> float:
    """Gelman & Rubin's statistic of half chains, for u `(N, C, kept, D)`: mean over simulations and parameters."""
    half = u.shape[2] // 2
    if half < 2:
        return float("nan")
    parts = torch.cat([u[:, :, :half], u[:, :, -half:]], 1)
    within, between = parts.var(2).mean(1), parts.mean(2).var(1)
    return float(((half - 1) / half + between / within).sqrt().mean())


def longer(s: dict) -> dict:
    """Settings of the longer chains under laws that cost almost nothing."""
    return {"burn": LONGER * s["burn"], "steps": LONGER * s["steps"], "thin": LONGER * s["thin"]}


def learned_and_gaussian(
    noise, realisations: np.ndarray, s: dict, seed: int, device: str = "cpu", progress: bool = False
) -> tuple[dict[str, Fits], Tensor, Tensor]:
    """Fits of the same data under the learned likelihood, the measured Gaussian, and that of a noise map.

    Arguments:
        noise: the noise model (`denoise`), on `device`.
        realisations: noise that was not used in its training, `(n, 1, h, w)`: the first `simulations` are added to the
            data, the Gaussians are measured on the others.
        s: settings `simulations`, `chains`, `burn`, `steps`, `thin`, `level`, `amplitude`, `size`.

    Returns:
        Fits by likelihood, true u `(N, D)`, data `(N, h, w)`.
    """
    N, g = s["simulations"], torch.Generator().manual_seed(seed)
    images = torch.from_numpy(np.asarray(realisations[:, 0], float))
    model, blank = Blob(images.shape[-1], s["amplitude"], s["size"]), images[N:]
    truth = torch.randn(N, len(model.names), generator=g, dtype=torch.float64)
    data = model(truth) + images[:N]
    gaussian, independent = measured_gaussian(blank), noise_map(blank, CLIP)
    learned = LearnedLaw(noise, s["level"], device)
    cheap: dict[str, Any] = {**longer(s), "density": True}
    options: dict[str, Any] = {"generator": g, "progress": progress}
    start = start_of(gaussian, model, data, s["chains"], g)
    fits = {
        "gaussian": fit(gaussian, model, data, start, gaussian.precision, name="gaussian", **cheap, **options)
    }
    core, start = independent.precision, fits["gaussian"].last
    fits["independent"] = fit(independent, model, data, start, core, name="noise map", **cheap, **options)
    # particle hits attract Gaussian fits, so chains of the learned likelihood start from a fit with heavy tails
    robust = StudentLaw(*ROBUST)
    start = start_of(robust, model, data, s["chains"], g)
    start = fit(robust, model, data, start, core, name="start", **cheap, **options).last
    # the first half of the burn-in uses a coarser level, where the score of residuals far from noise is smoother
    coarse, half = LearnedLaw(noise, COARSE * s["level"], device), s["burn"] // 2
    early = {"burn": half, "steps": 1, "thin": 1, "name": "learned, coarse", **options}
    start = fit(coarse, model, coarse.diffuse(data, g), start, core, **early).last
    late = {"burn": s["burn"] - half, "steps": s["steps"], "thin": s["thin"], "name": "learned", **options}
    fits["learned"] = fit(learned, model, learned.diffuse(data, g), start, core, **late)
    return fits, truth, data


def student_control(s: dict, seed: int, progress: bool = False) -> tuple[dict[str, Fits], Tensor]:
    """Fits under Student-t noise, and true u `(N, D)`.

    The fits use its density, its score alone, and the Gaussian of the same variance.
    """
    N, g, pixels = s["simulations"], torch.Generator().manual_seed(seed), CONTROL_PIXELS
    model = Blob(pixels, s["amplitude"], s["size"])
    law, variance = StudentLaw(NU, SCALE), SCALE**2 * NU / (NU - 2)
    gaussian = GaussianLaw(0.0, variance * torch.eye(pixels**2), (pixels, pixels))
    truth = torch.randn(N, len(model.names), generator=g, dtype=torch.float64)
    data = model(truth) + law.sample(N, (pixels, pixels), g)
    start = start_of(gaussian, model, data, s["chains"], g)
    fits = {}
    for name, one, density in (("gaussian", gaussian, True), ("exact", law, True), ("score", law, False)):
        options = {**longer(s), "density": density, "progress": progress, "name": f"student: {name}"}
        fits[name] = fit(one, model, data, start, gaussian.precision, g, **options)
    return fits, truth


def linear_control(
    realisations: np.ndarray, s: dict, seed: int, progress: bool = False
) -> tuple[Fits, Tensor, Tensor, Tensor]:
    """Gaussian noise with its analytic score and a linear model: chains, true u, exact mean and standard deviation `(N,
    D)`.
    """
    N, g = s["simulations"], torch.Generator().manual_seed(seed)
    images = torch.from_numpy(np.asarray(realisations[:, 0, :CONTROL_PIXELS, :CONTROL_PIXELS], float))
    law, model = measured_gaussian(images), Linearised(Blob(images.shape[-1], s["amplitude"], s["size"]))
    truth = torch.randn(N, len(model.names), generator=g, dtype=torch.float64)
    data = model(truth) + law.sample(N, g)
    start = start_of(law, model, data, s["chains"], g)
    found = fit(
        law, model, data, start, law.precision, g, **longer(s), progress=progress, name="linear control"
    )
    J = model.J.flatten(0, 1)
    F = J.T @ law.precision @ J + torch.eye(J.shape[1])
    mean = (data - model.start - law.mean).flatten(1) @ law.precision @ J @ torch.linalg.inv(F)
    return found, truth, mean, torch.linalg.inv(F).diagonal().sqrt().expand_as(mean)


def coverage(fits: Fits, truth: Tensor, scale: Tensor, seed: int = 0):
    """TARP of the samples around their mean, with distances in units of `scale` `(D,)`; see `tarp.Coverage`."""
    samples, t, r = (v / scale for v in (fits.u.transpose(0, 1), truth, fits.mean))
    return tarp(samples.numpy(), t.numpy(), r.numpy(), seed=seed)


def summary(fits: Fits, truth: Tensor, scale: Tensor, width: Tensor) -> tuple[dict, dict]:
    """Numbers and coverage curve of the fits under one likelihood; widths are relative to `width` (N, D)."""
    curve, z = coverage(fits, truth, scale), (fits.mean - truth) / fits.sd
    numbers = {
        "tarp_deviation": curve.mean_deviation,
        "tarp_p_value": curve.p_value,
        "bias_z": float(z.mean(0).abs().max()),
        "rms_z": float(z.square().mean().sqrt()),
        "width_ratio": float((fits.sd / width).median()),
        "acceptance": fits.acceptance,
        "rhat": fits.rhat,
    }
    return numbers, {"alpha": curve.alpha, "ecp": curve.ecp, "band": curve.band, "pointwise": curve.pointwise}


def example(fits: dict[str, Fits], truth: Tensor, data: Tensor, model) -> dict:
    """Images and draws of the simulation at the 90 % quantile of the disagreement between the two likelihoods."""
    gap = ((fits["learned"].mean - fits["gaussian"].mean) / fits["gaussian"].sd).norm(dim=1)
    i = int(gap.argsort()[int(0.9 * (len(gap) - 1))])
    clean = model(truth[i : i + 1])[0]
    shown = {name: model.parameters(fits[name].u[i]).numpy() for name in ("gaussian", "learned")}
    return {
        "names": model.names,
        "data": data[i].numpy(),
        "truth_image": clean.numpy(),
        "noise": (data[i] - clean).numpy(),
        "truth": model.parameters(truth[i]).numpy(),
        "draws": shown,
    }
