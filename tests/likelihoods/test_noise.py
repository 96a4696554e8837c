"""Noise laws against their dense covariance; the measurement of drizzled noise on a sky made by a known kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skyscore.likelihoods.noise import CorrelatedNoise, DiagonalNoise
from skyscore.problems.lens.simulated import kernel_correlation
from skyscore.sky.noise import autocorrelation, effective_exposure, measure_sky_noise

H, W = 13, 11


def law() -> tuple[CorrelatedNoise, torch.Tensor]:
    """A law on an irregular mask, and its dense covariance written entry by entry."""
    g = torch.Generator().manual_seed(3)
    std = 0.5 + torch.rand(H, W, generator=g, dtype=torch.float64)
    keep = torch.rand(H, W, generator=g) > 0.3
    keep[5:8] = False  # a gap wider than the support
    rho = torch.from_numpy(kernel_correlation(0.35))
    rows, columns = keep.nonzero(as_tuple=True)
    M = len(rows)
    C = torch.zeros(M, M, dtype=torch.float64)
    for a in range(M):
        for b in range(M):
            i, j = int(rows[a] - rows[b]), int(columns[a] - columns[b])
            if abs(i) <= 2 and abs(j) <= 2:
                C[a, b] = std[rows[a], columns[a]] * rho[i + 2, j + 2] * std[rows[b], columns[b]]
    return CorrelatedNoise(std, rho, keep), C


def test_correlated_law_is_its_dense_covariance():
    noise, C = law()
    v = torch.randn(4, len(C), generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    assert torch.allclose(noise.covariance(v), v @ C, atol=1e-12)
    assert torch.allclose(noise.solve(v), torch.linalg.solve(C, v.T).T, atol=1e-9)
    w = noise.whiten(v)
    assert torch.allclose(w @ w.T, v @ torch.linalg.solve(C, v.T), atol=1e-9)
    assert noise.whiten(v.float()).dtype == torch.float32
    assert noise.whiten(v[0]).shape == v[0].shape


def test_blocks_thinner_than_the_image_are_used():
    noise, _ = law()
    noise.keep = noise.keep.repeat(1, 40)  # wide rows: blocks of few rows
    noise = CorrelatedNoise(torch.ones(H, 40 * W), noise.rho, noise.keep)
    assert len(noise.blocks) > 3
    v = torch.randn(2, len(noise.std), dtype=torch.float64)
    assert torch.allclose(noise.covariance(noise.solve(v)), v, atol=1e-8)


def test_gram_is_the_normal_matrix():
    noise, C = law()
    g = torch.Generator().manual_seed(5)
    A, y = torch.randn(len(C), 7, generator=g).double(), torch.randn(len(C), generator=g).double()
    for one, dense in ((noise, C), (DiagonalNoise(noise.std), torch.diag(noise.std**2))):
        G, b, yy = one.gram(A, y)
        S = torch.linalg.inv(dense)
        assert torch.allclose(G, A.T @ S @ A, atol=1e-9)
        assert torch.allclose(b, A.T @ S @ y, atol=1e-9)
        assert abs(yy - float(y @ S @ y)) < 1e-9


def test_samples_have_the_covariance():
    noise, C = law()
    x = noise.sample(40000, torch.Generator().manual_seed(6))
    assert (x.T @ x / len(x) - C).abs().max() < 6 * C.max() / len(x) ** 0.5
    x = DiagonalNoise(noise.std).sample(20000, torch.Generator().manual_seed(7))
    assert torch.allclose(x.std(0), noise.std, rtol=0.04)


def test_refuses_a_law_that_is_none():
    std, keep = torch.ones(5, 5), torch.ones(5, 5, dtype=torch.bool)
    indefinite = torch.tensor([[0.0, 0.9, 0.0], [0.9, 1.0, 0.9], [0.0, 0.9, 0.0]])
    with pytest.raises(ValueError, match="positive definite"):
        _ = CorrelatedNoise(std, indefinite, keep).blocks
    with pytest.raises(ValueError, match="symmetric"):
        CorrelatedNoise(std, torch.triu(torch.ones(3, 3)), keep)
    with pytest.raises(ValueError, match="positive"):
        CorrelatedNoise(0 * std, torch.ones(1, 1), keep)
    with pytest.raises(ValueError, match="positive"):
        DiagonalNoise(torch.zeros(3))


def sky(n: int = 201, seed: int = 8):
    """An image with a halo, photon noise spread by a kernel as resampling does, and a star; its noise map."""
    g = np.random.default_rng(seed)
    y, x = (np.mgrid[:n, :n] - n // 2) * 0.05
    flux = 0.05 / (0.3 + np.hypot(x, 1.2 * y)) ** 1.5
    kernel = np.array([[0.05, 0.2, 0.05], [0.2, 1.0, 0.2], [0.05, 0.2, 0.05]])
    exposure, background = 1500.0, 2e-3**2
    white = g.standard_normal((n, n)) * np.sqrt(background + flux / exposure) / kernel.sum()
    noise = sum(kernel[i, j] * np.roll(white, (i - 1, j - 1), (0, 1)) for i in range(3) for j in range(3))
    flux[10:13, 20:23] += 1.0  # a star
    image = flux + noise
    noise_map = np.sqrt(1e-6 + flux / exposure)
    power = np.abs(np.fft.fft2(kernel, (9, 9))) ** 2
    rho = np.roll(np.fft.ifft2(power).real, (4, 4), (0, 1))
    return image, noise_map, rho / rho.max(), np.sqrt(background * (kernel**2).sum()) / kernel.sum()


def test_sky_noise_is_recovered():
    image, noise_map, rho, std = sky()
    found = measure_sky_noise(image, noise_map, 0.05, radius=3.0)
    assert abs(found.exposure / 1500 - 1) < 0.05
    assert abs(found.std / std - 1) < 0.07
    for flux in (0.006, 0.02):  # a typical sky pixel, and one well inside
        truth = np.sqrt(std**2 + flux / 1500 / rho.sum())
        assert abs(found.deviation(np.array(flux)) / truth - 1) < 0.03
    assert np.abs(found.rho - rho).max() < 0.02
    # the photon term, lowered by the sum of rho, agrees with the rise of the variance seen on the sky
    assert abs(found.spread / rho.sum() - 1) < 0.05
    assert np.linalg.eigvalsh(dense(found.rho, 12)).min() > 0


def dense(rho: np.ndarray, n: int) -> np.ndarray:
    """The covariance of rho on an n x n frame."""
    S, index = rho.shape[0] // 2, [(i, j) for i in range(n) for j in range(n)]
    return np.array(
        [
            [rho[i - k + S, j - m + S] if max(abs(i - k), abs(j - m)) <= S else 0.0 for k, m in index]
            for i, j in index
        ]
    )


def test_autocorrelation_of_a_masked_field():
    g = np.random.default_rng(9)
    white = g.standard_normal((300, 300))
    field = white + 0.5 * np.roll(white, 1, axis=1)
    good = g.random(field.shape) > 0.3
    measured = autocorrelation(np.where(good, field, 0.0), good, 2)
    expected = np.zeros((5, 5))
    expected[2, 1:4] = [0.4, 1.0, 0.4]  # 0.5 / 1.25
    assert np.abs(measured - expected).max() < 0.02


def test_noise_measurement_refuses():
    image, noise_map, *_ = sky()
    with pytest.raises(ValueError, match="sky pixels"):
        measure_sky_noise(image, noise_map, 0.05, radius=7.0)
    with pytest.raises(ValueError, match="photon noise"):
        effective_exposure(image, np.sqrt(1.0 - 0.1 * image.clip(0, 5)))
