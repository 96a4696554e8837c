"""Cost of a gradient of the radio likelihood with the Toeplitz kernel, and of a non-uniform Fourier transform."""

from __future__ import annotations

import numpy as np
import torch

from benchmarks.lensing import median_ms
from skyscore.operators.interferometry import Interferometer
from skyscore.operators.toeplitz import ToeplitzNormal

__all__ = ["bench_radio"]


def bench_radio(pixels: int = 64, visibilities: int = 100_000, repeats: int = 200) -> dict[str, float]:
    """Times (milliseconds, median of `repeats`) of one image of `pixels` squared, float32, on one thread.

    Arrays of this size gain nothing from a second thread, and on a busy machine lose much by waiting for it.

    Returns:
        `gradient_ms` (A' W A x - b by the Toeplitz kernel), `gradient_batch16_ms`, `forward_ms` and `adjoint_ms`
        (non-uniform transforms of `visibilities` baselines), and `difference` (of the two gradients, relative, in
        float64).
    """
    g, scale = np.random.default_rng(0), 0.05
    uv = g.normal(size=(visibilities, 2)).clip(-3, 3) * 6.4e5
    weights = g.uniform(0.5, 2, visibilities)
    A = Interferometer(uv, (pixels, pixels), scale)
    G = ToeplitzNormal(uv, weights, (pixels, pixels), scale)
    w = torch.from_numpy(weights).repeat(2)
    x = torch.rand(1, 1, pixels, pixels, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = A.adjoint(w * A(x))
    difference = float((G(x) - exact).norm() / exact.norm())
    single, b = x.float(), exact.float()
    batch, y = single.expand(16, -1, -1, -1).contiguous(), A(single)
    G.to(dtype=torch.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {
            "gradient_ms": median_ms(lambda: b - G(single), repeats),
            "gradient_batch16_ms": median_ms(lambda: b - G(batch), repeats),
            "forward_ms": median_ms(lambda: A(single), max(3, repeats // 10)),
            "adjoint_ms": median_ms(lambda: A.adjoint(y), max(3, repeats // 10)),
            "difference": difference,
        }
    finally:
        torch.set_num_threads(threads)
