"""The lens problem: simulated observations, exact compression, light integrated out, flux scale, refusals, the fit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from skyscore import io
from skyscore.likelihoods.gaussian import Spectrum, compress
from skyscore.operators.lensing import annulus, lens_operator
from skyscore.problems import PROBLEMS, load_problem
from skyscore.problems.flux import NegativeFlux, fit_flux_scale, log_evidence
from skyscore.problems.lens.files import Imaging, read_imaging
from skyscore.problems.lens.light import (
    LightModel,
    axis_ratio_angle,
    ellipticity,
    non_negative_amplitudes,
)
from skyscore.problems.lens.observed import assemble
from skyscore.problems.lens.problem import LensProblem
from skyscore.problems.lens.simulated import gaussian_psf
from skyscore.statistics.moments import Moments, moments_of

SETTINGS = {"image_pixels": 28, "image_scale": 0.2, "psf_fwhm": 0.3, "subpixels": 2}


def blobs(n: int = 40, side: int = 8, seed: int = 0) -> np.ndarray:
    """Images (n, 1, side, side) of one or two positive blobs each: a prior with structure, made in a moment."""
    g = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    out = np.zeros((n, 1, side, side))
    for image in out[:, 0]:
        for _ in range(2):
            a, b = g.uniform(0.3 * side, 0.7 * side, 2)
            image += g.uniform(0.3, 1) * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * g.uniform(1, 2) ** 2))
    return out


@pytest.fixture(params=[0.0, 0.3], ids=["white", "drizzled"])
def observation(request):
    return LensProblem.simulate({**SETTINGS, "correlation": request.param}, blobs(), seed=3)


def test_settings_complete_themselves():
    s = LensProblem.completed({"lens": {"q": 0.5}, "prior": "galaxies", "n_samples": 3})
    assert s["lens"]["q"] == 0.5 and s["lens"]["theta_E"] == 1.5 and "prior" not in s


def test_observation_survives_a_file(observation, tmp_path):
    io.write_observation(tmp_path / "o.h5", observation)
    back = load_problem(io.read_observation(tmp_path / "o.h5"))
    here = load_problem(observation)
    assert isinstance(back, PROBLEMS["lens"]) and back.shape == (1, 8, 8)
    x = torch.rand(2, 1, 8, 8, dtype=torch.float64)
    assert torch.allclose(back.likelihood.log_prob(x), here.likelihood.log_prob(x))
    json.dumps(observation.attrs)


def test_same_seed_same_observation_other_seed_other():
    one, two, three = (LensProblem.simulate(SETTINGS, blobs(), seed) for seed in (5, 5, 6))
    assert np.array_equal(one.arrays["image"], two.arrays["image"])
    assert not np.array_equal(one.arrays["image"], three.arrays["image"])


def test_compressed_likelihood_has_the_full_one_s_posterior(observation):
    """Its score is that of the full data under the dense covariance."""
    problem = load_problem(observation)
    A, y = problem.operator.matrix(), problem.data
    C = problem.noise.covariance(torch.eye(len(y), dtype=torch.float64))
    x = torch.rand(3, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    score = torch.linalg.solve(C, (y - x.flatten(1) @ A.T).T).T @ A
    assert torch.allclose(problem.likelihood.score(x).flatten(1), score, atol=1e-6 * float(score.abs().max()))
    assert problem.likelihood.y.numel() <= 64


def test_truth_fits_to_the_noise(observation):
    problem = load_problem(observation)
    found = problem.residuals(torch.from_numpy(observation.arrays["truth"])[None])
    M = found["unmasked_pixels"]
    assert abs(found["chi2_dof"][0] - 1) < 5 * np.sqrt(2 / M)
    assert found["rms_to_truth"][0] == 0


def test_panels_are_drawable(observation):
    from skyscore import plotting

    problem = load_problem(observation)
    panels = problem.panels(torch.from_numpy(blobs(6)))
    assert [p.title for p in panels][:3] == ["Observation", "Model: posterior mean", "Residual / sigma"]
    assert all(p.unit and p.scale > 0 for p in panels)
    figure = plotting.draw_panels(panels)
    assert len(figure.axes) >= len(panels)


# ---------------------------------------------------------------------------------------------- light of the lens


def with_light(observation):
    """The same observation with two images of lens light of uncertain amplitude on top."""
    g = np.random.default_rng(4)
    shape = observation.arrays["image"].shape
    y, x = (np.mgrid[: shape[0], : shape[1]] - shape[0] // 2) / 6
    basis = np.stack([np.exp(-(x**2 + y**2)), np.ones(shape)])
    mean, sd = np.array([2.0, 0.1]), np.array([0.3, 0.05])
    arrays = dict(observation.arrays, light_basis=basis, light_mean=mean, light_sd=sd)
    arrays["image"] = arrays["image"] + np.tensordot(mean + sd * g.standard_normal(2), basis, 1)
    return type(observation)(observation.problem, arrays, observation.attrs)


def test_light_is_integrated_out_exactly(observation):
    problem = load_problem(with_light(observation))
    A, L, y = problem.operator.matrix(), problem.light_columns, problem.data
    C = (
        problem.noise.covariance(torch.eye(len(y), dtype=torch.float64))
        + L @ torch.diag(problem.light_sd**2) @ L.T
    )
    S = torch.linalg.inv(C)
    G, b = problem.normal_equations()
    assert torch.allclose(G, A.T @ S @ A, atol=1e-8 * float(G.abs().max()))
    assert torch.allclose(b, A.T @ S @ y, atol=1e-8 * float(b.abs().max()))
    # the amplitudes drawn given a source have the conditional mean
    x = torch.from_numpy(observation.arrays["truth"])[None].expand(400, -1, -1, -1)
    r = y - (x.flatten(1) @ A.T)
    drawn = problem.light_given(r, torch.Generator().manual_seed(0))
    N = L.T @ torch.linalg.inv(C - L @ torch.diag(problem.light_sd**2) @ L.T)
    precision = N @ L + torch.diag(problem.light_sd**-2)
    mean, sd = torch.linalg.solve(precision, N @ r[0]), torch.linalg.inv(precision).diag().sqrt()
    assert ((drawn.mean(0) - mean).abs() < 5 * sd / 20).all()
    assert abs(problem.residuals(x[:1])["chi2_dof"][0] - 1) < 0.3


def test_new_data_of_a_lens_with_light_follow_its_law(observation):
    """Data, likelihood and chi2 of new observations all have the covariance C, with the light integrated out."""
    problem = load_problem(with_light(observation))
    L, y = problem.light_columns, problem.image[problem.keep]
    likelihood, known = problem.likelihood_of(y[None]), problem.likelihood.spectrum()
    found = likelihood.spectrum()
    assert torch.allclose(found.d[0], known.d, atol=1e-6 * float(known.d.abs().max()))
    Sigma = problem.noise.covariance(torch.eye(len(y), dtype=torch.float64))
    S = torch.linalg.inv(Sigma + L @ torch.diag(problem.light_sd**2) @ L.T)
    x = torch.from_numpy(observation.arrays["truth"])[None].expand(400, -1, -1, -1)
    drawn = problem.observe(x, torch.Generator().manual_seed(1))
    r = drawn - problem.operator(problem.to_physical(x.double())) - L @ problem.light_mean
    assert torch.allclose(problem.solve(r), r @ S, atol=1e-8 * float((r @ S).abs().max()))
    chi2 = problem.chi2(x[:, None], drawn)[:, 0]
    assert torch.allclose(chi2, ((r @ S) * r).mean(1))
    # M chi2 has M degrees of freedom: the mean over 400 draws is 1 within five standard errors
    assert abs(float(chi2.mean()) - 1) < 5 * (2 / len(y) / 400) ** 0.5


def test_light_basis_and_amplitudes():
    """Flux of a Gaussian is 2 pi sigma^2 (both families are area-preserving); amplitudes come back non-negative."""
    model = LightModel((41, 41), 0.1, torch.from_numpy(gaussian_psf(2.0)), (0.1, 0.3), families=2)
    basis = model.basis([0.05, -0.1, *ellipticity(0.6, 0.5), 0.0, 0.0])
    assert basis.shape == (model.components, 41, 41)
    flux = basis.sum((1, 2)) * 0.01
    expected = 2 * np.pi * torch.tensor([0.1, 0.3, 0.1, 0.3]) ** 2
    assert torch.allclose(flux[:4], expected.double(), rtol=0.01)
    x = (torch.arange(41.0).double() - 20) * 0.1
    assert abs(float((basis[1] * x).sum() / basis[1].sum()) - 0.05) < 1e-3
    truth = torch.tensor([1.0, 0.0, 0.5, 2.0, -0.1]).double()
    image = torch.einsum("k,khw->hw", truth, basis).flatten()
    found, cost = non_negative_amplitudes(basis.flatten(1), image, torch.ones(41 * 41).double())
    assert torch.allclose(found, truth, atol=1e-2) and cost < 1e-4
    assert np.allclose(axis_ratio_angle(*ellipticity(0.6, 0.5)), (0.6, 0.5))


# ---------------------------------------------------------------------------------------------- flux scale


def test_evidence_is_the_dense_one():
    g = torch.Generator().manual_seed(2)
    A, y = torch.randn(30, 12, generator=g).double(), torch.randn(30, generator=g).double()
    spectrum = compress(A.T @ A, A.T @ y, (12,)).spectrum()
    U = torch.linalg.qr(torch.randn(12, 3, generator=g).double())[0].T
    m, v = torch.randn(12, generator=g).double(), torch.tensor([2.0, 1.0, 0.5]).double()
    projected = spectrum.V.T @ torch.cat((m[None], U)).T

    def dense(s, tau):
        C = (
            torch.eye(30).double()
            + A @ (s**2 * U.T @ torch.diag(v) @ U + tau**2 * torch.eye(12).double()) @ A.T
        )
        r = y - s * A @ m
        return -0.5 * float(torch.logdet(C) + r @ torch.linalg.solve(C, r))

    def ours(s, tau):
        return log_evidence(s, tau, spectrum, projected, v)

    assert abs((ours(0.7, 0.2) - ours(1.3, 0.5)) - (dense(0.7, 0.2) - dense(1.3, 0.5))) < 1e-8


def test_flux_scale_is_recovered():
    """From draws of the Gaussian itself, within its errors; and a prior of the wrong sign is refused."""
    images = blobs(400, seed=1)
    moments = moments_of(images, rank=10)
    g = torch.Generator().manual_seed(3)
    A = 20 * torch.randn(80, 64, generator=g).double()
    spectrum = compress(A.T @ A, torch.zeros(64).double(), (1, 8, 8)).spectrum()
    pulls = []
    for _ in range(20):
        z = torch.randn(10, generator=g).double() * torch.from_numpy(moments.variances).sqrt()
        x = 0.3 * (torch.from_numpy(moments.mean) + z @ torch.from_numpy(moments.components))
        d = spectrum.s * (spectrum.V.T @ x) + torch.randn(len(spectrum.s), generator=g).double()
        found = fit_flux_scale(Spectrum(spectrum.V, spectrum.s, d), moments)
        pulls.append((found.scale - 0.3) / found.error)
    assert abs(np.mean(pulls)) < 0.8 and 0.5 < np.std(pulls) < 1.7
    wrong = Moments(-moments.mean, moments.components, moments.variances, moments.residual)
    with pytest.raises(NegativeFlux, match="subtract the background and centre the object"):
        fit_flux_scale(Spectrum(spectrum.V, spectrum.s, d), wrong)


# ---------------------------------------------------------------------------------------------- files


def files_of(folder: Path, side: int = 61, **changed) -> dict[str, str]:
    g = np.random.default_rng(5)
    image = g.normal(0.01, 0.01, (side, side))
    arrays = {"image": image, "noise_map": np.full((side, side), 0.01), "psf": gaussian_psf(3.0),
              "mask": np.zeros((side, side))}  # fmt: skip
    for name, array in (arrays | changed).items():
        fits.writeto(folder / f"{name}.fits", array, overwrite=True)
    return {name: str(folder / f"{name}.fits") for name in arrays}


def spoilt(value, side: int = 61) -> np.ndarray:
    image = np.full((side, side), 0.01)
    image[30, 40] = value
    return image


@pytest.mark.parametrize(
    ("changed", "file", "message"),
    [
        ({"image": spoilt(np.nan)}, "image.fits", "not finite"),
        ({"noise_map": spoilt(0.0)}, "noise_map.fits", "noise"),
        ({"noise_map": spoilt(-1.0)}, "noise_map.fits", "noise"),
        ({"noise_map": np.ones((60, 61))}, "noise_map.fits", "shape"),
        ({"psf": np.ones((4, 5))}, "psf.fits", "odd"),
        ({"psf": np.ones((71, 71))}, "psf.fits", "not larger"),
        ({"mask": np.ones((61, 61))}, "mask.fits", "all pixels are masked"),
    ],
)
def test_unusable_files_are_named(tmp_path, changed, file, message):
    with pytest.raises(io.InputError, match=message) as error:
        read_imaging(files_of(tmp_path, **changed))
    assert file in str(error.value) and "\n" not in str(error.value)


def test_masked_nan_is_no_data(tmp_path):
    mask = np.zeros((61, 61))
    mask[30, 40] = 1
    found = read_imaging(files_of(tmp_path, image=spoilt(np.nan), mask=mask))
    assert np.isfinite(found.image).all() and not found.good[30, 40] and abs(found.psf.sum() - 1) < 1e-12


def test_image_too_small_is_refused(tmp_path):
    with pytest.raises(io.InputError, match="wider image"):
        LensProblem.from_data({"pixel_scale": 0.03}, files_of(tmp_path), moments_of(blobs()))
    with pytest.raises(io.InputError, match="psf"):
        read_imaging({"image": files_of(tmp_path)["image"], "noise_map": "noise.fits"})


# ---------------------------------------------------------------------------------------------- the fit


def test_a_lens_is_recovered_from_its_image():
    """Mass and light fitted to a simulated lens galaxy with arcs; the likelihood built on the fit accepts the truth."""
    from skyscore.problems.lens.model import fit_lens
    from skyscore.sky.noise import SkyNoise

    side, scale, psf = 91, 0.08, gaussian_psf(2.0)
    lens = dict(theta_E=1.4, q=0.75, phi=1.1, x0=0.02, y0=-0.03, gamma_1=0.02, gamma_2=-0.01)
    y, x = np.mgrid[:24, :24] - 11.5
    source = 0.4 * np.exp(-(x**2 + y**2) / 20) + 0.5 * np.exp(-((x - 4) ** 2 + (y + 3) ** 2) / 4)
    A = lens_operator(lens, (side, side), scale, (24, 24), 0.08, (0.15, 0.05), torch.from_numpy(psf), None, 2)
    light = LightModel((side, side), scale, torch.from_numpy(psf), (0.15, 0.4, 1.0), families=1, sky=False)
    basis = light.basis([0.02, -0.03, *ellipticity(0.8, 0.9)])
    clean = A(torch.from_numpy(source)[None, None])[0, 0] + torch.einsum(
        "k,khw->hw", torch.tensor([3.0, 1.0, 0.2]).double(), basis
    )
    noise = SkyNoise(0.01, np.ones((1, 1)), 1e4, 1.0, 1e-4, 1000, np.ones((1, 1)))
    deviation = noise.deviation(clean.numpy())
    image = clean.numpy() + deviation * np.random.default_rng(6).standard_normal((side, side))
    good = np.ones((side, side), bool)
    model = fit_lens(image, good, noise, psf, scale, radius=2.8, slope="isothermal", source_width=2.2, starts=2,
                     coarse_pixels=14, fine_pixels=20)  # fmt: skip
    theta = model.fit.theta
    assert abs(theta[0] - 1.4) < 0.02
    assert abs(model.fit.chi2 - 1) < 0.15
    s = LensProblem.completed(
        {"pixel_scale": scale, "annulus": [0.6, 2.6], "source_width": 2.2, "subpixels": 2}
    )
    arrays, attrs = assemble(s, Imaging(image, deviation, psf, good), noise, model, 16)
    assert attrs["numbers"]["einstein_radius_arcsec"] == pytest.approx(float(theta[0]))
    assert all(len(axes) == arrays[name].ndim for name, axes in attrs["axes"].items() if name in arrays)
    problem = LensProblem(type(LensProblem.simulate(SETTINGS, blobs(), 0))("lens", arrays, attrs))
    likelihood = problem.likelihood
    x = likelihood.spectrum()
    ridge = (x.V * (x.s / (x.s**2 + 1.0))) @ x.d
    found = problem.residuals(ridge.reshape(1, 1, 16, 16))
    assert 0.85 < found["chi2_dof"][0] < 1.2
    assert annulus((5, 5), 1.0, (0.5, 1.2)).sum() == 4


def test_the_real_lens_coarsely(root):
    """Noise and Einstein radius of SDSSJ1430+4105 from its real image, where a mirror of the data is at hand."""
    from skyscore.problems.lens.model import fit_lens
    from skyscore.sky.noise import measure_sky_noise

    mirror = Path(os.environ.get("SKYSCORE_MIRROR", root.parent / "shared" / "data"))
    found = {
        p.stem: p for p in mirror.glob("raw.githubusercontent.com/*/*/*/dataset/slacs/slacs1430+4105/*.fits")
    }
    if not {"image", "noise_map", "psf", "mask"} <= set(found):
        pytest.skip(
            f"no image of SDSSJ1430+4105 in {mirror}; set SKYSCORE_MIRROR to a folder that holds the data"
        )
    real = read_imaging({k: str(v) for k, v in found.items()})
    sky = measure_sky_noise(real.image, real.noise_map, 0.03)
    assert 0.0025 < sky.std < 0.0033 and 0.3 < sky.rho[4, 5] < 0.45
    assert abs(sky.slope * sky.exposure * sky.spread - 1) < 0.3  # photon noise, measured and predicted
    model = fit_lens(real.image, real.good, sky, real.psf, 0.03, starts=2, coarse_pixels=24, fine_pixels=0)
    assert 1.42 < float(model.fit.theta[0]) < 1.57  # published: 1.47 to 1.52 arcsec
    assert model.fit.chi2 < 1.6
