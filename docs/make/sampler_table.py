"""The table of samplers, docs/samplers.md: `python -m docs.make.sampler_table` writes it from the classes.

What a sampler needs and gets wrong are attributes of its class; what it costs is counted in a run of a hundred levels
on six pixels. A test fails if the file is not what this makes.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from skyscore.likelihoods import GaussianLikelihood, ScoreLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianPrior
from skyscore.samplers import SAMPLERS, sample
from skyscore.samplers.base import Sampler

__all__ = ["cost", "described", "example"]

PATH = Path(__file__).resolve().parents[3] / "docs" / "samplers.md"
PIXELS, STEPS, ROWS = 6, 100, 64

HEAD = f"""# Samplers

<!-- made from the classes by `python -m docs.make.sampler_table`; do not edit -->

Equations, references and deviations are at the top of each file in `src/skyscore/samplers/`, options in
`config/README.md`. `sample("default", ...)` takes one of them by the likelihood that it is given
(`src/skyscore/samplers/default.py`).

* **exact for**: where samples follow the posterior; **known failure**: how they differ elsewhere. Both are tested on
  Gaussian priors, where the law of each method has a closed form.
* **gradient**: vector-Jacobian products of the network.
* **singular vectors**: the equations are solved in those of the whitened operator. Without, products with A and its
  transpose would do; the levels are set by the singular values in any case, so that every sampler asks for a linear
  forward model that can be decomposed. Maps too large for that are for `pnpdm` with `matched: true` alone.
* **density**: of the noise. Without, it is for a learned noise, which has a score alone.
* **cost**: evaluations of the network and vector-Jacobian products for each sample, with default options,
  `steps: {STEPS}` and {PIXELS} pixels.

| sampler | from | exact for | known failure | gradient | singular vectors | density | cost |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""


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
    """Noise N(0, 1) as a model that has learned it."""

    def denoise(self, r: Tensor, sigma) -> Tensor:
        return r / (1 + torch.as_tensor(sigma) ** 2)


def example(learned: bool = False) -> tuple[GaussianPrior, GaussianLikelihood | ScoreLikelihood]:
    """A smooth prior on six pixels and blurred data of it, with Gaussian or with a learned noise."""
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


def described() -> str:
    """The text of docs/samplers.md."""
    rows = []
    for sampler in SAMPLERS.values():
        needs = (sampler.needs_vjp, sampler.needs_svd, sampler.needs_density)
        texts = (
            sampler.reference,
            sampler.exact_for,
            sampler.failure,
            *("yes" if n else "no" for n in needs),
        )
        rows.append(" | ".join((f"| `{sampler.name}`", *texts, f"{cost(sampler)} |")))
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PATH.write_text(described(), encoding="utf-8")
