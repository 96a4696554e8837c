"""A prior as samplers see it: its denoiser and derivatives, counted; and its largest standard deviation."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from skyscore.compute.batches import Batch
from skyscore.observation import PriorLike

__all__ = ["CountedPrior", "highest_level", "largest_deviation"]

HUGE = 1e3  # a noise level far above the spread of every prior


class CountedPrior:
    """Counts the evaluations and vector-Jacobian products of a prior, one per image; works on flat vectors.

    Arguments:
        prior: object with `denoise(x, sigma)`.
        shape: shape of one image.
        batch: images per call; larger batches are split. If the GPU runs out of memory, this number is halved once.
            From then on no graph is kept for the derivative: each derivative evaluates the denoiser once more, part
            by part.

    Attributes:
        nfe: evaluations of the denoiser so far.
        nvjp: vector-Jacobian products so far.
    """

    def __init__(self, prior: PriorLike, shape: tuple[int, ...], batch: int = 1024):
        self.prior, self.shape, self.images = prior, shape, Batch(batch, "denoiser")
        self.nfe = self.nvjp = 0

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x], shape of x, `(B, D)`, without derivatives."""
        self.nfe += len(x)
        return self.images.run(lambda size: self._denoise(x, sigma, size), len(x))

    def denoise_vjp(self, x: Tensor, sigma: float) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """E[x0 | x] and the function v -> v' dD/dx, both of shape `(B, D)`; the graph lives as long as the function."""
        self.nfe += len(x)
        graphs: list[tuple[Tensor, Tensor]] = []
        x = x.detach().clone()

        def graph(part: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                leaf = part.detach().requires_grad_()
                return self._call(leaf, sigma), leaf

        def forward(size: int) -> Tensor:
            graphs.clear()
            if self.images.halved:
                return self._denoise(x, sigma, size)
            graphs.extend(graph(part) for part in x.split(size))
            return torch.cat([out.detach() for out, _ in graphs])

        def backward(v: Tensor, size: int) -> Tensor:
            if self.images.halved:
                graphs.clear()
            if graphs:
                parts = zip(graphs, v.split(size), strict=True)
                return torch.cat(
                    [torch.autograd.grad(out, leaf, w, retain_graph=True)[0] for (out, leaf), w in parts]
                )
            self.nfe += len(x)
            pairs = zip(x.split(size), v.split(size), strict=True)
            return torch.cat([torch.autograd.grad(*graph(part), w)[0] for part, w in pairs])

        def vjp(v: Tensor) -> Tensor:
            self.nvjp += len(v)
            return self.images.run(lambda size: backward(v, size), len(x))

        return self.images.run(forward, len(x)), vjp

    def denoise_jacobian(self, x: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
        """E[x0 | x] `(B, D)` and dD/dx `(B, D, D)`.

        Each image costs D vector-Jacobian products, and is counted as D also if the prior has a closed form.
        """
        known = getattr(self.prior, "jacobian", None)
        if known is None:
            D, vjp = self.denoise_vjp(x, sigma)
            return D, torch.stack([vjp(e.expand_as(x)) for e in torch.eye(x.shape[1]).to(x)], dim=1)
        self.nvjp += x.numel()
        return self.denoise(x, sigma), known(x, float(sigma))

    def denoise_in_graph(self, x: Tensor, sigma: float) -> Tensor:
        """E[x0 | x], shape of x, `(B, D)`, in autograd's graph; the caller that differentiates it adds to `nvjp`."""
        self.nfe += len(x)
        return torch.cat([self._call(part, sigma) for part in x.split(self.images.size)])

    @property
    def sigma_max(self) -> float:
        """The highest noise level that the prior supports."""
        return highest_level(self.prior)

    @property
    def linear_covariance(self) -> Callable[[Tensor, float], Tensor] | None:
        """The function (x, sigma) -> V x of the prior's linear part, both `(B, D)`; None if the prior has none."""
        known = getattr(self.prior, "linear_covariance", None)
        if known is None:
            return None
        return lambda x, sigma: known(x.reshape(-1, *self.shape), sigma).reshape(len(x), -1)

    def _denoise(self, x: Tensor, sigma: float, size: int) -> Tensor:
        with torch.no_grad():
            return torch.cat([self._call(part, sigma) for part in x.split(size)])

    def _call(self, x: Tensor, sigma: float) -> Tensor:
        # created on the device: no synchronisation with the host
        level = torch.full((), float(sigma), dtype=x.dtype, device=x.device)
        return self.prior.denoise(x.reshape(-1, *self.shape), level).reshape(len(x), -1)


def highest_level(prior: PriorLike) -> float:
    """The highest noise level that a prior supports; 1e3, far above any prior's spread, if it supports all levels."""
    return getattr(prior, "sigma_max", HUGE)


def largest_deviation(prior: CountedPrior, v: Tensor, iterations: int = 12) -> float:
    """Largest standard deviation of a prior in any direction, by power iteration from a random image v `(1, D)`.

    If the prior has a linear part, the iteration uses the covariance of that part. Otherwise it uses the Jacobian of
    the denoiser at the prior's highest level, the last one at which a network was trained. There J = P / (P +
    sigma^2) for a direction of variance P, and one evaluation serves all iterations.
    """
    linear, level = prior.linear_covariance, prior.sigma_max
    if linear is not None:
        return max(math.sqrt(largest_eigenvalue(lambda u: linear(u, HUGE), v, iterations)), 1e-3)
    _, jacobian = prior.denoise_vjp(torch.zeros_like(v), level)
    # the Jacobian of a true posterior mean has eigenvalues below 1
    kept = min(largest_eigenvalue(jacobian, v, iterations), 0.99)
    return max(level * math.sqrt(kept / (1 - kept)), 1e-3)


def largest_eigenvalue(matrix: Callable[[Tensor], Tensor], v: Tensor, iterations: int) -> float:
    """Largest eigenvalue of a positive matrix, from its products with vectors, starting at v `(1, D)`."""
    for _ in range(iterations):
        v = matrix(v / v.norm())
    return float(v.norm())
