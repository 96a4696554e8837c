"""The table of docs/reference/samplers.md: what each sampler needs, where it is exact, how it fails, what it costs.

All but the cost are attributes of the sampler's class. The cost is counted in a run of a hundred levels on six pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import SAMPLERS, sample
from skyscore.samplers.base import Sampler

from .api import rst

__all__ = ["FAMILIES", "cost", "example", "members", "table"]

PIXELS, STEPS, ROWS = 6, 100, 64
FAMILIES = {  # folder of the library: heading; each has a page below docs/reference/samplers/
    "guidance": "Guidance",
    "splitting": "Splitting",
    "chains": "Markov chains",
    "particles": "Particles",
    "variational": "Variational",
    "learned_noise": "Learned noise",
}
HEADS = (
    "sampler",
    "source",
    "exact for",
    "known failure",
    "gradient",
    "singular vectors",
    "density",
    "cost",
)


class Images(MatrixOperator):
    """A matrix whose data are one image of 2 x 3."""

    def __init__(self, A: Tensor):
        super().__init__(A)
        self.out_shape = (2, PIXELS // 2)

    def __call__(self, x: Tensor) -> Tensor:
        return super().__call__(x).unflatten(-1, self.out_shape)

    def adjoint(self, y: Tensor) -> Tensor:
        return super().adjoint(y.flatten(-2))


class WhiteNoise:
    """A learned noise model that has learned N(0, 1)."""

    def denoise(self, r: Tensor, sigma) -> Tensor:
        return r / (1 + torch.as_tensor(sigma) ** 2)


def example(learned: bool = False) -> tuple[GaussianPrior, GaussianLikelihood | ScoreLikelihood]:
    """A smooth prior on six pixels and blurred data, with Gaussian or with learned noise."""
    at = torch.arange(PIXELS, dtype=torch.float64)
    apart = (at[:, None] - at) ** 2
    prior = GaussianPrior(torch.zeros_like(at), torch.exp(-apart / 8) + 0.05 * torch.eye(PIXELS))
    A, y = 3 * torch.exp(-apart / 2), torch.sin(at)
    surrogate = GaussianLikelihood(MatrixOperator(A), y, 1.0)
    if not learned:
        return prior, surrogate
    return prior, ScoreLikelihood(Images(A), y.reshape(2, -1), WhiteNoise(), surrogate)


def cost(sampler: type[Sampler]) -> str:
    """Evaluations and vector-Jacobian products of a sample, counted."""
    s = sample(sampler.name, *example(not sampler.needs_density), ROWS, steps=STEPS)
    counts = [
        (s.nfe, "evaluations"),
        (s.diagnostics.get("noise_nfe", 0), "of the noise model"),
        (s.nvjp, "products"),
    ]
    return ", ".join(f"{number:.0f} {what}" for number, what in counts if number > 0.5)


def row(sampler: type[Sampler]) -> tuple[str, ...]:
    needs = (sampler.needs_vjp, sampler.needs_svd, sampler.needs_density)
    texts = (sampler.reference, sampler.exact_for, sampler.failure)
    return f"`{sampler.name}`", *texts, *("yes" if n else "no" for n in needs), cost(sampler)


def family(sampler: type[Sampler]) -> str:
    """The folder of the library that holds a sampler."""
    return sampler.__module__.split(".")[-2]


def table() -> str:
    """One table for each family, under a heading that links to its page."""
    parts = []
    for folder, heading in FAMILIES.items():
        rows = [row(sampler) for sampler in SAMPLERS.values() if family(sampler) == folder]
        lines = [HEADS, ("---",) * len(HEADS), *rows]
        parts.append(f"## {heading}\n\nEquations and options: [{heading}](samplers/{folder}.md).")
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def members(folder: str) -> str:
    """The samplers of a family: equations, references, failures and options, then the options that they share."""
    parts, bases = [], {}
    for sampler in SAMPLERS.values():
        if family(sampler) == folder:
            bases |= {
                base: None
                for base in sampler.__mro__[1:]
                if issubclass(base, Sampler) and not base.name and "Arguments:" in (base.__doc__ or "")
            }
            parts += [
                f"## `{sampler.name}`",
                rst(f".. automodule:: {sampler.__module__}"),
                f"Exact for {sampler.exact_for}. Known failure: {sampler.failure}.",
                rst(f".. autoclass:: {sampler.__module__}.{sampler.__name__}"),
            ]
    parts.append("## Options that they share")
    # the class itself is described on the page of one family only
    parts += [rst(f".. autoclass:: {base.__module__}.{base.__name__}", "   :no-index:") for base in bases]
    return "\n\n".join(parts)
