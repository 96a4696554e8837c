"""`sample(name, prior, likelihood, n, ...)`: the one call behind which all samplers stand."""

from __future__ import annotations

import difflib
import inspect
import warnings

import torch

from .base import Sampler, Samples
from .default import INSTEAD, chosen
from .registry import SAMPLERS

__all__ = ["create", "options_of", "sample", "sample_problem", "skipped"]


def sample(
    name: str,
    prior,
    likelihood,
    n: int,
    *,
    steps: int | None = None,
    generator: torch.Generator | None = None,
    progress: bool = False,
    **options,
) -> Samples:
    """Samples the posterior.

    Arguments:
        name: one of `SAMPLERS`; "default" takes the one that is best for this likelihood, with its settings
            (:mod:`skyscore.samplers.default`), and says in the diagnostics which it was; where the particles of that
            one collapse it warns and draws by guidance instead.
        prior: anything with `denoise(x, sigma)`, x of shape `(B, *in_shape)`, sigma of shape `(B,)`.
        likelihood: Gaussian likelihood of one observation, or of O observations of the same operator.
        n: samples per observation; one population of particles or chains each.
        steps: noise levels (evaluations of the denoiser, but for second evaluations that a sampler states); 100, or
            those that come with the default.
        generator: source of all randomness; that of torch, freshly seeded with 0, by default.
        progress: whether to show a bar with the time left.
        options: of the sampler, see its class.

    Returns:
        Samples; `x` of shape `(n, *in_shape)`, or `(O, n, *in_shape)`.

    Raises:
        ValueError: for a sampler or an option that does not exist, n < 1, or a likelihood without a density or a
            linear forward model where the sampler needs one.
        FloatingPointError: if samples are not finite.
    """
    if name == "default":
        settings = chosen(likelihood) | options | ({} if steps is None else {"steps": steps})
        taken = settings.pop("name")
        found = sample(taken, prior, likelihood, n, generator=generator, progress=progress, **settings)
        found.diagnostics["sampler"] = taken
        return without_collapse(found, prior, likelihood, n, generator=generator, progress=progress)
    sampler = create(name, 100 if steps is None else steps, **options)
    if n < 1:
        raise ValueError(f"{name}: n must be at least 1, not {n}")
    if sampler.needs_density and likelihood.has_density and not hasattr(likelihood, "spectrum"):
        raise ValueError(
            f"{name}: reads the singular values of a linear forward model, and this likelihood has none; "
            "give a GaussianLikelihood (skyscore.likelihoods)"
        )
    if not sampler.needs_density and likelihood.has_density:
        raise ValueError(f"{name}: corrects for a learned noise, and this likelihood has none; use mmps")
    if sampler.needs_density and not likelihood.has_density:
        takes = [key for key, c in SAMPLERS.items() if not c.needs_density]
        other = f" or a sampler that takes scores ({', '.join(takes)})" if takes else ""
        raise ValueError(
            f"{name}: needs a density, and this likelihood has a score only; give likelihood.surrogate{other}"
        )
    generator = generator or torch.Generator(likelihood.y.device).manual_seed(0)
    if not likelihood.batched:
        return sampler(prior, likelihood, n, [generator], progress)
    # each observation has its own stream, so that a population does not depend on those that share its batch
    seeds = seeds_of(len(likelihood.y), generator)
    generators = [torch.Generator(generator.device).manual_seed(seed) for seed in seeds]
    if sampler.joint and likelihood.shared:
        return sampler(prior, likelihood, n, generators, progress)
    runs = [sampler(prior, likelihood.observation(o), n, [one], progress) for o, one in enumerate(generators)]
    diagnostics = {k: [r.diagnostics.get(k) for r in runs] for k in runs[0].diagnostics}
    nfe, nvjp = (sum(getattr(r, k) for r in runs) / len(runs) for k in ("nfe", "nvjp"))
    return Samples(torch.stack([r.x for r in runs]), nfe, nvjp, diagnostics)


def without_collapse(found: Samples, prior, likelihood, n: int, **more) -> Samples:
    """The samples, those of observations whose particles collapsed drawn anew by a sampler that has none; its cost is
    added. Diagnostics: `sampler` (of an observation by itself) and `fell_back`, one number for each observation."""
    lost = torch.as_tensor(found.diagnostics.get("collapsed", False)).reshape(-1)
    if not bool(lost.any()):
        return found
    settings, x = dict(INSTEAD), found.x if likelihood.batched else found.x[None]
    name = settings.pop("name")
    warnings.warn(
        f"default: particles collapsed; drawn by {name} instead, weights of modes may be wrong", stacklevel=3
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


def create(name: str, steps: int = 100, **options) -> Sampler:
    """The sampler of this name with these options, before it sees a prior or data; errors as :func:`sample` raises."""
    if name not in SAMPLERS:
        near = difflib.get_close_matches(name, SAMPLERS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"unknown sampler {name!r}{hint} (known: default, {', '.join(SAMPLERS)})")
    known = options_of(SAMPLERS[name])
    if unknown := sorted(set(options) - known):
        raise ValueError(f"{name}: unknown option {unknown[0]!r} (known: {', '.join(sorted(known))})")
    return SAMPLERS[name](steps=steps, **options)


def seeds_of(observations: int, generator: torch.Generator) -> list[int]:
    """One seed for each observation."""
    return torch.randint(2**62, (observations,), generator=generator, device=generator.device).tolist()


def skipped(generator: torch.Generator, observations: int) -> torch.Generator:
    """The generator as it is after so many observations of a batch."""
    seeds_of(observations, generator)
    return generator


def sample_problem(settings: dict, prior, problem, n: int, *, noise=None, y=None, **more) -> Samples:
    """Samples the posterior of a problem's observation, or of other data by its instrument.

    Arguments:
        settings: a block of the configuration's `samplers`: `name`, `steps`, options.
        prior: a learned prior; its `sigma_max` is the first noise level unless the settings name one, or the `reach`
            that finds it. The last is left to the data: chains that end above the sharpest error they allow are too
            narrow there.
        problem: a :class:`skyscore.problems.base.Problem`.
        n: samples per observation.
        noise: learned noise model; samplers that need a density get the problem's own (Gaussian) likelihood instead.
        y: data `(N, M)` of N observations in place of the problem's own.
        more: `generator` and `progress` of :func:`sample`.
    """
    first = {} if "reach" in settings else {"sigma_max": prior.sigma_max}
    options = {**first, **settings}
    sampler = create(**options)  # what is wrong with the settings is said before the operator is decomposed
    if noise is not None and not sampler.needs_density:
        likelihood = problem.score_likelihood(noise, y)
    else:
        likelihood = problem.likelihood if y is None else problem.likelihood_of(y)
    name, like = options.pop("name"), likelihood.to(dtype=torch.float32)  # as the network
    return sample(name, prior, like, n, **options, **more)


def options_of(sampler: type[Sampler]) -> set[str]:
    """Names of the options of a sampler, those of its base classes included."""
    names: set[str] = set()
    for c in sampler.__mro__[:-1]:
        names |= {k for k, p in inspect.signature(c.__init__).parameters.items() if p.kind != p.VAR_KEYWORD}
    return names - {"self", "steps"}
