"""`sample(name, prior, likelihood, n, ...)`: one function that runs any sampler."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from skyscore.config.renamed import OPTIONS
from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood
from skyscore.observation import PriorLike

from .base import Sampler, Samples
from .default import FALLBACK, default_settings
from .registry import SAMPLERS

__all__ = ["create", "options_of", "sample", "sample_problem", "skipped"]

Likelihood = GaussianLikelihood | ScoreLikelihood


class HasLikelihood(Protocol):
    """The likelihoods of a problem, as in :class:`skyscore.problems.base.Problem`."""

    @property
    def likelihood(self) -> GaussianLikelihood: ...

    def likelihood_of(self, y: Tensor) -> GaussianLikelihood: ...

    def score_likelihood(self, noise: PriorLike, y: Tensor | None) -> ScoreLikelihood: ...


def sample(
    name: str,
    prior: PriorLike,
    likelihood: Likelihood,
    n: int,
    *,
    steps: int | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
    **options: Any,
) -> Samples:
    """Draws samples of the posterior.

    Arguments:
        name: one of `SAMPLERS`, or "default". "default" uses the sampler and settings that suit this likelihood
            (:mod:`skyscore.samplers.default`) and records the sampler's name in the diagnostics. If the particles of
            that sampler collapse, it warns and draws by guidance instead.
        prior: object with `denoise(x, sigma)`, x of shape `(B, *in_shape)`, sigma of shape `(B,)`. Its `dtype`, if it
            has one, is the precision of the run and of the samples; without one it is that of the likelihood's data.
        likelihood: Gaussian likelihood of one observation, or of O observations with the same operator.
        n: samples per observation; the samples of one observation form one population of particles or chains.
        steps: noise levels, which is also the number of denoiser evaluations, except for second evaluations that a
            sampler documents; by default 100, or the number that belongs to the default sampler.
        generator: source of all randomness; by default a torch generator seeded with 0.
        progress: whether to show a progress bar with the remaining time.
        options: options of the sampler, see its class.

    Returns:
        Samples; `x` has shape `(n, *in_shape)`, or `(O, n, *in_shape)` for a batch of observations.

    Raises:
        ValueError: for an unknown sampler or option, for n < 1, or if the sampler needs a density or a linear forward
            model that the likelihood does not have.
        FloatingPointError: if the samples are not finite.
    """
    if name == "default":
        settings = default_settings(likelihood) | options | ({} if steps is None else {"steps": steps})
        taken = settings.pop("name")
        found = sample(taken, prior, likelihood, n, generator=generator, progress=progress, **settings)
        found.diagnostics["sampler"] = taken
        return without_collapse(found, prior, likelihood, n, generator=generator, progress=progress)
    sampler = create(name, 100 if steps is None else steps, **options)
    if n < 1:
        raise ValueError(f"{name}: n must be at least 1, not {n}")
    if sampler.needs_density and likelihood.has_density and not hasattr(likelihood, "spectrum"):
        raise ValueError(
            f"{name}: needs the singular values of a linear forward model, but this likelihood has none; "
            "give a GaussianLikelihood (skyscore.likelihoods)"
        )
    if not sampler.needs_density and likelihood.has_density:
        raise ValueError(f"{name}: corrects for a learned noise, but this likelihood has none; use mmps")
    if sampler.needs_density and not likelihood.has_density:
        takes = [key for key, c in SAMPLERS.items() if not c.needs_density]
        other = f" or a sampler that takes scores ({', '.join(takes)})" if takes else ""
        raise ValueError(
            f"{name}: needs a density, but this likelihood has only a score; give likelihood.surrogate{other}"
        )
    likelihood = in_precision_of(prior, likelihood)
    generator = generator or torch.Generator(likelihood.y.device).manual_seed(0)
    if not likelihood.batched:
        return sampler(prior, likelihood, n, [generator], progress)
    # each observation has its own random stream: its samples do not depend on the other observations of the batch
    seeds = seeds_of(len(likelihood.y), generator)
    generators = [torch.Generator(generator.device).manual_seed(seed) for seed in seeds]
    if sampler.joint and likelihood.shared:
        return sampler(prior, likelihood, n, generators, progress)
    runs = [sampler(prior, likelihood.observation(o), n, [one], progress) for o, one in enumerate(generators)]
    diagnostics = {k: [r.diagnostics.get(k) for r in runs] for k in runs[0].diagnostics}
    nfe, nvjp = (sum(getattr(r, k) for r in runs) / len(runs) for k in ("nfe", "nvjp"))
    return Samples(torch.stack([r.x for r in runs]), nfe, nvjp, diagnostics)


def in_precision_of(prior: PriorLike, likelihood: Likelihood) -> Likelihood:
    """The likelihood in the precision of the prior; a float32 network takes twice as long on float64 data.

    The operator is decomposed once, in its original precision; copies share the decomposition.
    """
    dtype = getattr(prior, "dtype", None)
    if dtype is None or likelihood.y.dtype == dtype:
        return likelihood
    if isinstance(likelihood, GaussianLikelihood) and likelihood.decomposable:
        likelihood.spectrum()
    return likelihood.to(dtype=dtype)


def without_collapse(
    found: Samples, prior: PriorLike, likelihood: Likelihood, n: int, **more: Any
) -> Samples:
    """Redraws the observations whose particles collapsed with the fallback sampler, and adds its cost.

    Diagnostics: `fell_back`, one number per observation, and `sampler`, for a single observation.
    """
    lost = torch.as_tensor(found.diagnostics.get("collapsed", False)).reshape(-1)
    if not bool(lost.any()):
        return found
    settings: dict[str, Any] = dict(FALLBACK)
    x = found.x if likelihood.batched else found.x[None]
    name = settings.pop("name")
    warnings.warn(
        f"default: particles collapsed; drawn by {name} instead, the weights of modes may be wrong",
        stacklevel=3,
    )
    for o in lost.nonzero()[:, 0].tolist():
        data = likelihood.observation(o) if likelihood.batched else likelihood
        one = sample(name, prior, data, n, **more, **settings)
        x[o] = one.x
        found.nfe, found.nvjp = found.nfe + one.nfe / len(lost), found.nvjp + one.nvjp / len(lost)
    if not likelihood.batched:
        found.diagnostics = one.diagnostics | {"sampler": name}
    found.diagnostics["fell_back"] = lost.int().tolist()
    return found


def create(name: str, steps: int = 100, **options: Any) -> Sampler:
    """The sampler of this name with these options, before it sees a prior or data.

    Raises:
        ValueError: for an unknown sampler or option.
    """
    if name not in SAMPLERS:
        near = difflib.get_close_matches(name, SAMPLERS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown sampler {name!r}{hint} (known: default, {', '.join(SAMPLERS)})")
    known = options_of(SAMPLERS[name])
    if unknown := sorted(set(options) - known):
        if OPTIONS.get(unknown[0]) in known:
            raise ValueError(f"{name}: the option {unknown[0]!r} is now called {OPTIONS[unknown[0]]!r}")
        raise ValueError(f"{name}: unknown option {unknown[0]!r} (known: {', '.join(sorted(known))})")
    return SAMPLERS[name](steps=steps, **options)


def seeds_of(observations: int, generator: torch.Generator) -> list[int]:
    """One random seed per observation."""
    seeds: list[int] = torch.randint(
        2**62, (observations,), generator=generator, device=generator.device
    ).tolist()
    return seeds


def skipped(generator: torch.Generator, observations: int) -> torch.Generator:
    """The generator in the state it has after a batch of this many observations."""
    seeds_of(observations, generator)
    return generator


def sample_problem(
    settings: Mapping[str, Any],
    prior: Any,
    problem: HasLikelihood,
    n: int,
    *,
    noise: PriorLike | None = None,
    y: Tensor | None = None,
    **more: Any,
) -> Samples:
    """Samples the posterior of a problem's observation, or of other data from the same instrument.

    Arguments:
        settings: a block of the configuration's `samplers`: `name`, `steps`, options.
        prior: a learned prior. Its `sigma_max` is the first noise level, unless the settings give one, or give the
            `start_sigmas` that determines it. The data determine the last level: chains that end above the smallest
            error that the data allow are too narrow there.
        problem: a :class:`skyscore.problems.base.Problem`.
        n: samples per observation.
        noise: learned noise model; samplers that need a density use the problem's own Gaussian likelihood instead.
        y: data `(N, M)` of N observations, used instead of the problem's own data.
        more: `generator` and `progress` of :func:`sample`.

    Returns:
        Samples, as :func:`sample` returns them.

    Raises:
        ValueError, FloatingPointError: see :func:`sample`.
    """
    first = {} if "start_sigmas" in settings else {"sigma_max": prior.sigma_max}
    options = {**first, **settings}
    sampler = create(**options)  # reports wrong settings before the operator is decomposed
    likelihood: Likelihood
    if noise is not None and not sampler.needs_density:
        likelihood = problem.score_likelihood(noise, y)
    else:
        likelihood = problem.likelihood if y is None else problem.likelihood_of(y)
    return sample(options.pop("name"), prior, likelihood, n, **options, **more)


def options_of(sampler: type[Sampler]) -> set[str]:
    """Names of the options of a sampler, including those of its base classes."""
    names: set[str] = set()
    for c in sampler.__mro__[:-1]:
        signature = inspect.signature(c.__init__)  # type: ignore[misc]  # it is read, not called
        names |= {k for k, p in signature.parameters.items() if p.kind != p.VAR_KEYWORD}
    return names - {"self", "steps"}
