"""Mass mapping: the shear operator against closed forms and plain numpy, the problem and its baselines."""

import numpy as np
import pytest
import torch

from skyscore import io
from skyscore.baselines.kaiser_squires import WIDTHS, gaussian_smoothing, kaiser_squires
from skyscore.baselines.regression import Regression, train_regression
from skyscore.baselines.starlet import analyse, starlet_map, starlet_matrices, synthesise
from skyscore.baselines.wiener import (
    cosine_covariance,
    cosine_variances,
    full_covariance,
    wiener,
    wiener_map,
)
from skyscore.likelihoods.gaussian import Spectrum
from skyscore.operators.shear import ShearOperator, decompose, kernel, shear
from skyscore.priors import GaussianPrior
from skyscore.problems import PROBLEMS, load_problem
from skyscore.problems.kappa.problem import peak_counts
from skyscore.simulate.convergence import Convergence
from skyscore.statistics.moments import moments_of
from skyscore.statistics.spectra import agreement

G = torch.Generator().manual_seed(0)
SHAPES = [(16, 16), (15, 15), (16, 12), (9, 16)]


def white(*shape):
    return torch.randn(*shape, generator=G, dtype=torch.float64)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_adjoint(shape, padding):
    keep = torch.rand(shape, generator=G) > 0.3
    A = ShearOperator(keep, padding)
    x, y = white(3, *A.in_shape), white(3, *A.out_shape)
    assert torch.allclose((A(x) * y).sum(1), (x * A.adjoint(y)).flatten(1).sum(1), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_all_but_the_mean_comes_back(shape):
    A, x = ShearOperator(torch.ones(shape, dtype=torch.bool)), white(2, 1, *shape)
    assert torch.allclose(A.adjoint(A(x)), x - x.mean((2, 3), keepdim=True), atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_modes_separate(shape):
    E, B = white(*shape), white(*shape)
    E, B = E - E.mean(), B - B.mean()
    g = shear(E)
    found = decompose(g)
    assert torch.allclose(found[0], E, atol=1e-12) and found[1].abs().max() < 1e-12
    turned = torch.stack([-shear(B)[1], shear(B)[0]])  # every galaxy turned by 45 degrees
    found = decompose(turned)
    assert torch.allclose(found[1], B, atol=1e-12) and found[0].abs().max() < 1e-12
    assert torch.allclose(decompose(g + turned)[0], E, atol=1e-12)


def test_shear_is_tangential_around_a_mass():
    n = 65
    axis = torch.arange(n, dtype=torch.float64) - n // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    kappa = torch.exp(-0.5 * (x**2 + y**2) / 2**2)
    g1, g2 = shear(kappa)
    phi, r = torch.atan2(y, x), torch.hypot(x, y)
    tangential = -(g1 * torch.cos(2 * phi) + g2 * torch.sin(2 * phi))
    cross = g1 * torch.sin(2 * phi) - g2 * torch.cos(2 * phi)
    ring = (r > 3) & (r < 16)
    assert (tangential[ring] > 0).all() and cross[ring].abs().max() < 0.02 * tangential.max()
    # mean convergence inside less that at r: the closed form of an isolated Gaussian
    mean = 8 * (1 - torch.exp(-(r**2) / 8)) / r**2
    assert torch.allclose(tangential[ring], (mean - kappa)[ring], atol=0.01)
    assert (
        g1[n // 2, n // 2 + 8] < 0 < g1[n // 2 + 8, n // 2]
    )  # beside a mass images stretch along y, above it along x


def test_against_plain_numpy():
    """Derivatives of the potential of a band-limited map, by whole complex transforms."""
    n = 24
    low = np.fft.fft2(np.random.default_rng(0).standard_normal((n, n)))
    k = np.fft.fftfreq(n) * n
    ky, kx = np.meshgrid(k, k, indexing="ij")
    low[(np.abs(ky) > 9) | (np.abs(kx) > 9) | ((ky == 0) & (kx == 0))] = 0
    kappa = np.fft.ifft2(low).real
    with np.errstate(all="ignore"):
        potential = np.nan_to_num(-2 * low / (kx**2 + ky**2))
    g1 = np.fft.ifft2(-(kx**2 - ky**2) / 2 * potential).real
    g2 = np.fft.ifft2(-kx * ky * potential).real
    assert np.allclose(shear(torch.from_numpy(kappa)).numpy(), [g1, g2], atol=1e-12)


def test_kernels_have_modulus_one_but_at_the_origin():
    p1, p2 = kernel((16, 16))
    modulus = p1**2 + p2**2
    assert modulus[0, 0] == 0 and torch.allclose(modulus.flatten()[1:], torch.ones(16 * 9 - 1).double())


def test_padding_keeps_masses_from_shearing_the_other_side():
    kappa = torch.zeros(1, 1, 32, 32, dtype=torch.float64)
    kappa[..., 15, 1] = 1
    keep = torch.zeros(32, 32, dtype=torch.bool)
    keep[:, 28:] = True
    periodic, padded = (ShearOperator(keep, p)(kappa).abs().max() for p in (0, 32))
    assert padded < 0.1 * periodic


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="at least one data pixel"):
        ShearOperator(torch.zeros(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="negative"):
        ShearOperator(torch.ones(4, 4, dtype=torch.bool), -1)


# ---------------------------------------------------------------------------- the problem


@pytest.fixture(scope="module")
def images():
    return Convergence.simulate(600, 16, {}, 0)


@pytest.fixture(scope="module")
def problem(images):
    return load_problem(PROBLEMS["kappa"].simulate({}, images, 3))


def test_observation(problem, images):
    arrays, numbers = problem.observation.arrays, problem.observation.attrs["numbers"]
    assert 0.1 < 1 - problem.keep.float().mean() < 0.35
    assert (arrays["truth"] == images).all((1, 2, 3)).any()
    assert torch.allclose(
        problem.std[problem.keep], 0.28 / torch.as_tensor(arrays["galaxies"]).double()[problem.keep] ** 0.5
    )
    assert 0.5 < numbers["snr_per_pixel"] < 1.2
    truth = torch.as_tensor(arrays["truth"])[None]
    assert abs(float(problem.residuals(truth)["chi2_dof"][0]) - 1) < 4 * (2 / len(problem.data)) ** 0.5


def test_masked_pixels_are_no_data(problem, images):
    changed = problem.observation.arrays["shear"].copy()
    changed[:, ~problem.keep.numpy()] = 1e6
    other = load_problem(PROBLEMS["kappa"].simulate({}, images, 3))
    other.shear = torch.from_numpy(changed)
    assert torch.equal(other.shear[:, other.keep].flatten(), problem.data)
    assert problem.operator.out_shape == (2 * int(problem.keep.sum()),)


def test_compressed_likelihood_is_the_likelihood(problem, images):
    x = torch.from_numpy(images[:5]).double().requires_grad_()
    r = problem.noise.whiten(problem.data - problem.operator(problem.to_physical(x)))
    direct = torch.autograd.grad(-0.5 * r.square().sum(), x)[0]
    assert torch.allclose(problem.likelihood.score(x.detach()), direct, rtol=1e-6, atol=1e-8)


def test_ensemble_of_observations(problem, images):
    x = torch.from_numpy(images[:40])
    y = problem.observe(x, torch.Generator().manual_seed(1))
    chi2 = problem.chi2(x[:, None], y)
    assert y.shape == (40, len(problem.data)) and chi2.shape == (40, 1)
    assert abs(float(chi2.mean()) - 1) < 4 * (2 / y.numel()) ** 0.5


def test_a_posterior_in_fits_has_its_scale_in_arcminutes(problem, images, tmp_path):
    from astropy.io import fits

    from skyscore.samplers import Samples

    io.write_fits(tmp_path / "map.fits", Samples(torch.from_numpy(images[:3]), 1.0, 0.0), problem)
    header, mean = fits.getheader(tmp_path / "map.fits"), fits.getdata(tmp_path / "map.fits")
    assert (header["CUNIT1"], header["CDELT1"], header["BUNIT"]) == ("arcmin", 2.5, "")
    assert np.allclose(mean, 0.02 * images[:3, 0].mean(0), atol=1e-6)


def test_peaks():
    field = np.zeros((1, 8, 8))
    field[0, 2, 2], field[0, 2, 3], field[0, 6, 6] = 3, 2, 1
    keep = np.ones((8, 8), bool)
    assert peak_counts(field, 0.5, keep)[0] == 2 and peak_counts(field, 1.5, keep)[0] == 1
    keep[2, 2] = False
    assert peak_counts(field, 1.5, keep)[0] == 0


def test_panels_and_numbers(problem, images):
    x = torch.from_numpy(images[:6])
    panels = problem.panels(x)
    assert len(panels) == 12 and all(np.isfinite(p.image).any() for p in panels)
    found = problem.residuals(x)
    assert {"peaks_above_0.03", "peaks_above_0.03_truth", "pearson_mean", "rmse_mean"} <= set(found)


# ---------------------------------------------------------------------------- baselines


def test_wiener_is_the_posterior_mean_of_a_gaussian_prior(problem, images):
    m = moments_of(images)
    C, mean = full_covariance(m), torch.as_tensor(m.mean)
    prior = GaussianPrior(mean, C)
    exact = prior.posterior(problem.likelihood).mean.reshape(-1)
    assert torch.allclose(wiener(problem.likelihood.spectrum(), mean, C), exact, atol=1e-8)
    y = torch.stack([problem.data, 2 * problem.data])
    both = wiener(problem.likelihood_of(y).spectrum(), mean, C)
    assert both.shape == (2, 256) and torch.allclose(both[0], exact, atol=1e-6)


def test_wiener_by_transforms_is_that_by_decomposition(problem, images):
    m, unit = moments_of(images), problem.observation.attrs["flux_scale"]
    C = cosine_covariance(m, 16)
    dense = unit * wiener(problem.likelihood.spectrum(), torch.zeros(256).double(), C).reshape(16, 16)
    found = wiener_map(problem.operator, problem.data, problem.noise, unit**2 * cosine_variances(m, 16))
    assert torch.allclose(found, dense, atol=1e-6 * float(dense.abs().max()))


def test_cosine_covariance_is_that_of_theory(images):
    C, xi = cosine_covariance(moments_of(images), 16), Convergence.covariance(16, {})
    assert float(C.diagonal().mean()) == pytest.approx(xi[0, 0], rel=0.1)
    near = torch.stack([C.reshape(16, 16, 16, 16)[:, j, :, j + 1].diagonal() for j in range(15)])
    assert float(near.mean()) == pytest.approx(xi[0, 1], rel=0.15)


def test_kaiser_squires_takes_the_width_with_the_least_error(problem, images):
    power = problem.observation.attrs["flux_scale"] ** 2 * cosine_variances(moments_of(images), 16)
    image = kaiser_squires(problem.operator, problem.data, problem.noise, power)
    plain = problem.operator.adjoint(problem.data[None])[0, 0]
    matches = [torch.allclose(image, gaussian_smoothing(plain, float(w))) for w in WIDTHS]
    assert sum(matches) == 1 and 0 < matches.index(True) < len(WIDTHS) - 1
    assert torch.allclose(gaussian_smoothing(plain, 0.0), plain)
    assert gaussian_smoothing(plain, 2.0).mean() == pytest.approx(float(plain.mean()))


def test_starlet_scales_add_up_and_have_an_adjoint():
    levels = starlet_matrices((16, 12), 3)
    x, alpha = white(16, 12), white(4, 16, 12)
    assert torch.allclose(analyse(x, levels).sum(0), x)
    assert torch.allclose((analyse(x, levels) * alpha).sum(), (x * synthesise(alpha, levels)).sum())
    flat = analyse(torch.ones(16, 12).double(), levels)
    assert flat[:-1].abs().max() < 1e-12  # wavelets do not see a constant


def test_starlet_map_is_a_minimum(problem):
    """Noise alone leaves nothing but the coarsest scale; the data leave fewer structures than pixels."""
    image = starlet_map(problem.operator, problem.data, problem.noise)
    assert starlet_map(problem.operator, torch.zeros_like(problem.data), problem.noise).abs().max() < 1e-12
    assert image.abs().max() > 0.1 * problem.observation.attrs["flux_scale"]


def test_order_of_the_baselines(problem, images):
    """Averaged over observations: Wiener is the best linear map, smoothed Kaiser-Squires close, the raw one far."""
    m, score = moments_of(images), {}
    for seed in range(8):
        p = load_problem(PROBLEMS["kappa"].simulate({}, images, seed))
        found = p.baselines(m) | {"raw": p.operator.adjoint(p.data[None])[0, 0].numpy()}
        for name, image in found.items():
            score.setdefault(name, []).append(agreement(image, p.truth_image(), p.footprint())["rmse"])
    mean = {name: np.mean(values) for name, values in score.items()}
    assert mean["wiener"] < mean["kaiser_squires"] < mean["raw"]
    assert mean["starlet"] < mean["raw"]


def test_regression_starts_as_the_wiener_filter_and_learns(tmp_path, problem, images):
    spectrum, C = problem.likelihood.spectrum(), cosine_covariance(moments_of(images), 16)
    x = torch.from_numpy(images[:300])
    d = x.flatten(1).double() @ (spectrum.V * spectrum.s)
    d = d + torch.randn(d.shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    linear = wiener(Spectrum(spectrum.V, spectrum.s, d), torch.zeros(256).double(), C)
    b = Spectrum(spectrum.V, spectrum.s, d).back_projected
    untrained = train_regression(x, spectrum, C, steps=0, seed=0)
    assert torch.allclose(untrained(b).flatten(1).double(), linear, atol=1e-4)
    assert untrained.scales[1] == pytest.approx(float(b.square().mean()) ** 0.5, rel=0.1)
    model = train_regression(x, spectrum, C, steps=40, seed=0, batch=32)
    error, floor = (float((m - x.flatten(1)).square().mean()) for m in (model(b).flatten(1), linear))
    assert error < floor
    path = tmp_path / "regression.safetensors"
    model.save(path)
    assert torch.allclose(Regression.load(path)(b[:3]), model(b[:3]), atol=1e-5)
    io.write_weights(path, {"a": torch.zeros(1)}, {})
    with pytest.raises(io.InputError, match="no regression"):
        Regression.load(path)
