r"""The exact benchmark: samplers against posteriors known in closed form.

Priors are Gaussian mixtures of strongly anisotropic, correlated components on 8 x 8 pixels. Five operators (blur,
Fourier subset, coarse pixels, inpainting, faint) observe them. Two of these are used a second time with so few data
that the posterior is truly multimodal. The score of a sampler is

.. math:: \frac{SW_2(\text{samples}, \text{exact draws})}{\langle SW_2(\text{exact draws}, \text{exact draws}) \rangle}

the sliced Wasserstein-2 distance relative to the Monte-Carlo floor: 1 is perfect. Modes that are individually right but
have wrong weights are detected by the multimodal tasks only.

References: Bonneel et al. (2015), J. Math. Imaging Vis. 51, 22 (sliced Wasserstein); Cardoso et al. (2023),
arXiv:2308.07983 (mixtures as a test of posterior samplers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from skyscore.likelihoods import GaussianLikelihood
from skyscore.operators import MatrixOperator
from skyscore.priors import GaussianMixturePrior
from skyscore.samplers import sample
from skyscore.seeds import generator, job_seed

__all__ = [
    "TASKS",
    "Task",
    "floor",
    "make_prior",
    "make_task",
    "mean_and_error",
    "measure",
    "perplexity",
    "sliced_wasserstein",
]

SIDE = 8  # pixels on a side
#            operator      noise  range of the posterior's perplexity over components
TASKS = {
    "blur": ("blur", 0.05, (1.0, 1.2)),
    "fourier": ("fourier", 0.05, (1.0, 1.2)),
    "coarse": ("coarse", 0.05, (1.0, 1.2)),
    "inpainting": ("inpainting", 0.05, (1.0, 1.2)),
    "faint": ("faint", 0.5, (1.0, 1.2)),
    "fourier_multimodal": ("fourier_few", 0.3, (1.5, 4.0)),
    "coarse_multimodal": ("coarse_few", 0.3, (1.5, 4.0)),
}


@dataclass
class Task:
    """One inverse problem with its exact posterior."""

    name: str
    prior: GaussianMixturePrior
    likelihood: GaussianLikelihood
    posterior: GaussianMixturePrior
    perplexity: float


def make_prior(seed: int, components: int = 12, dtype: torch.dtype = torch.float32) -> GaussianMixturePrior:
    """A mixture on 64 pixels: means of standard deviation 1, covariances Q diag(v) Q' with v between e^-5 and 1.

    The eigenvectors Q combine a random smooth stationary field with a random rotation, so that the correlation of
    neighbouring pixels differs between components.
    """
    g = torch.Generator().manual_seed(seed)
    D = SIDE**2
    weights = torch.rand(components, generator=g, dtype=torch.float64) + 0.3
    kernel = distances().square().neg().div(2 * 1.5**2).exp() + 1e-3 * torch.eye(D, dtype=torch.float64)
    smooth = torch.linalg.cholesky(kernel)
    means = torch.randn(components, D, generator=g, dtype=torch.float64) @ smooth.T
    covariances = []
    for _ in range(components):
        Q = torch.linalg.qr(smooth @ torch.randn(D, D, generator=g, dtype=torch.float64))[0]
        values = torch.exp(-5 * torch.rand(D, generator=g, dtype=torch.float64))
        covariances.append((Q * values) @ Q.T)
    return GaussianMixturePrior(*(t.to(dtype) for t in (weights, means, torch.stack(covariances))))


def distances() -> Tensor:
    """Distances between the pixels of the image, shape `(64, 64)`, in pixels."""
    grid = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
    return torch.cdist(grid, grid)


def make_operator(name: str, generator: torch.Generator) -> Tensor:
    """The matrix `(M, 64)` of an operator; random parts are drawn from the generator.

    Raises:
        ValueError: for an unknown name.
    """
    D = SIDE**2
    if name == "blur":
        A = distances().square().neg().div(2 * 1.0**2).exp()
        return A / A.sum(1, keepdim=True)
    if name.startswith("fourier"):
        rows = torch.fft.fft2(
            torch.eye(D, dtype=torch.complex128).reshape(D, SIDE, SIDE), norm="ortho"
        ).reshape(D, D)
        half = [SIDE * i + j for i in range(SIDE) for j in range(SIDE // 2 + 1)]
        picked = torch.randperm(len(half), generator=generator)[: 3 if name.endswith("few") else 10]
        rows = rows[[half[i] for i in picked]]
        A = torch.cat([rows.real, rows.imag])
        return A[A.norm(dim=1) > 1e-6]
    if name.startswith("coarse"):
        n = 4 if name.endswith("few") else 2  # image pixels on a side of a datum
        cells = torch.arange(SIDE) // n
        one = torch.nn.functional.one_hot(cells).double().T / n
        return torch.kron(one, one)
    if name == "inpainting":
        return torch.eye(D, dtype=torch.float64)[torch.randperm(D, generator=generator)[:20].sort().values]
    if name == "faint":
        return torch.eye(D, dtype=torch.float64)
    raise ValueError(f"unknown operator {name!r}; use one of those in TASKS")


def make_task(name: str, prior: GaussianMixturePrior, seed: int) -> Task:
    """A task on a prior: its observation is the first simulated one whose posterior has the required perplexity.

    Raises:
        RuntimeError: if none of 1,000 observations has it.
    """
    operator, std, (low, high) = TASKS[name]
    g = torch.Generator().manual_seed(seed)
    for _ in range(10):  # operators
        A = make_operator(operator, g).to(prior.means)
        for truth in prior.sample(100, g):
            y = A @ truth + std * torch.randn(len(A), generator=g, dtype=A.dtype)
            likelihood = GaussianLikelihood(MatrixOperator(A), y, std)
            p = perplexity(prior.components_given(likelihood)[0])
            if low <= p <= high:
                return Task(name, prior, likelihood, prior.posterior(likelihood), p)
    raise RuntimeError(
        f"task {name}: none of 1,000 observations has a perplexity of {low}-{high}; change the noise of the task"
    )


def perplexity(weights: Tensor) -> float:
    """exp(entropy) of the weights: the effective number of components in the posterior."""
    return float(torch.special.entr(weights).sum().exp())


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int = 256, seed: int = 0) -> float:
    """Sliced Wasserstein-2 distance between two sets of n points, `(n, D)` each, over fixed random directions."""
    g = torch.Generator().manual_seed(seed)
    u = torch.nn.functional.normalize(
        torch.randn(directions, x.shape[1], generator=g, dtype=torch.float64), dim=1
    )
    a, b = ((t.double() @ u.T).sort(dim=0).values for t in (x, y))
    return math.sqrt(float((a - b).square().mean()))


def floor(posterior: GaussianMixturePrior, n: int, pairs: int, generator: torch.Generator) -> Tensor:
    """Distances between pairs of independent exact sets of n draws, shape `(pairs,)`: the limit for any sampler."""
    draws = [posterior.sample(2 * n, generator) for _ in range(pairs)]
    return torch.tensor([sliced_wasserstein(x[:n], x[n:]) for x in draws], dtype=torch.float64)


def mean_and_error(values: Tensor) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std() / math.sqrt(len(values)))


def measure(
    task: Task, sampler: str, options: dict, n: int, repeats: int, pairs: int, seed: int
) -> dict[str, float]:
    """The score of a sampler on a task.

    Arguments:
        sampler, options: as for :func:`skyscore.samplers.sample`.
        n: number of samples of one run, and of draws of one exact set.
        repeats: number of runs, each compared with its own exact set.
        pairs: number of pairs of exact sets for the floor.
        seed: of runs and draws.

    Returns:
        `ratio` and its standard error `ratio_error` (runs and floor together), `floor`, `perplexity`, `nfe`, `nvjp`.
    """
    exact = generator(job_seed(seed, "exact", task.name))
    base, base_error = mean_and_error(floor(task.posterior, n, pairs, exact))
    distances, runs = [], []
    for repeat in range(repeats):
        g = generator(job_seed(seed, "run", task.name, str(repeat)))
        run = sample(sampler, task.prior, task.likelihood, n, generator=g, **options)
        distances.append(sliced_wasserstein(run.x, task.posterior.sample(n, exact)))
        runs.append(run)
    mean, error = mean_and_error(torch.tensor(distances, dtype=torch.float64))
    ratio = mean / base
    numbers = {
        "ratio": ratio,
        "ratio_error": ratio * math.hypot(error / mean, base_error / base),
        "floor": base,
        "perplexity": task.perplexity,
        "nfe": runs[0].nfe,
        "nvjp": sum(run.nvjp for run in runs) / repeats,
    }
    ancestors = [run.diagnostics["unique_ancestors"] for run in runs if "unique_ancestors" in run.diagnostics]
    return numbers | ({"unique_ancestors": sum(ancestors) / repeats} if ancestors else {})
