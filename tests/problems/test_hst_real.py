"""Real frames of HST and NIRCam: stamps, alignment, units, unusable files (blank sky and the check: files beside)."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.wcs import WCS
from scipy.ndimage import gaussian_filter

from skyscore import io
from skyscore.problems import Observation, load_problem
from skyscore.problems.hst.alignment import (
    alignment,
    offset_of_frames,
    offsets_of_sources,
    read_wcs,
)
from skyscore.problems.hst.check_files import brightness_unit
from skyscore.problems.hst.check_scores import compared, enlarged
from skyscore.problems.hst.observed import observe_hst
from skyscore.problems.hst.problem import HSTProblem
from skyscore.problems.hst.psf import match_width
from skyscore.simulate.sky import Sky
from skyscore.sky.frames import Frame, read_frame
from skyscore.statistics.moments import moments_of

ROOT = Path(__file__).parents[2]
RA, DEC = 150.0, 2.0
COARSE, FINE = 0.06, 0.03  # arcsec
BROAD, SHARP = 0.18, 0.07  # widths of a star, pixels and all
FACTOR = 2.0  # MJy / sr of one electron / s per pixel
SHIFT = (0.3, -0.2)  # of the sharp frame's pixels against the broad frame's (sharp pixels, x and y)
SKY = Sky.completed(None)
#           east, north [arcsec], flux [MJy / sr arcsec^2], sigma [arcsec]
SOURCES = [(0.0, 0.0, 0.3, 0.12), (0.12, -0.06, 0.1, 0.06)]
OTHERS = [(-2.4, -2.2, 0.8, 0.08), (2.3, 1.9, 0.8, 0.10), (-2.2, 2.3, 0.8, 0.09), (2.2, -2.1, 0.8, 0.07),
          (0.2, 2.4, 0.8, 0.08), (0.1, -2.5, 0.8, 0.08)]  # fmt: skip


def settings(**changed):
    given = {
        "position": [RA, DEC], "frame_pixels": 16, "scale": FINE, "data_scale": COARSE, "psf_fwhm": BROAD,
        "sharp_fwhm": SHARP, "noise": SKY,
    }  # fmt: skip
    return HSTProblem.completed(given | changed)


def header(side: int, scale: float, shift=(0.0, 0.0), **cards) -> fits.Header:
    """North up, east left, the middle of the frame at RA, DEC but for a shift (x, y) in pixels."""
    h = fits.Header()
    for k, (kind, at, step) in enumerate((("RA---TAN", RA, -scale), ("DEC--TAN", DEC, scale)), 1):
        h[f"CTYPE{k}"], h[f"CUNIT{k}"], h[f"CRVAL{k}"] = kind, "deg", at
        h[f"CRPIX{k}"], h[f"CDELT{k}"] = (side + 1) / 2 + shift[k - 1], step / 3600
    h.update(cards)
    return h


def sky_image(
    side: int, scale: float, fwhm: float, shift=(0.0, 0.0), sources=(*SOURCES, *OTHERS)
) -> np.ndarray:
    """Gaussian sources behind a Gaussian PSF whose width has the pixel in it, (side, side) in MJy / sr."""
    t = np.arange(side) - (side - 1) / 2
    image = np.zeros((side, side))
    for east, north, flux, sigma in sources:
        var = sigma**2 + (fwhm / 2.3548) ** 2
        x, y = (t - shift[0]) * scale + east, (t - shift[1]) * scale - north
        image += flux / (2 * np.pi * var) * np.exp(-(y[:, None] ** 2 + x**2) / (2 * var))
    return image


def gaussian_psf(fwhm: float, scale: float, half: int) -> np.ndarray:
    t = np.arange(-half, half + 1) * scale
    return np.exp(-(t[:, None] ** 2 + t**2) / (2 * (fwhm / 2.3548) ** 2))


def faint_frames(seed: int, shift: tuple[float, float], flux: float = 0.02) -> tuple[Frame, Frame]:
    """Frames of 110 and 220 pixels with thirty faint sources; the second is off by `shift` (its pixels)."""
    g = np.random.default_rng(seed)
    places = g.uniform(-2.8, 2.8, (30, 2))
    sources = [(east, north, flux, 0.08) for east, north in places]
    broad = sky_image(110, COARSE, BROAD, sources=sources) + 0.06 * g.standard_normal((110, 110))
    sharp = sky_image(220, FINE, SHARP, shift, sources) + 0.06 * g.standard_normal((220, 220))
    return tuple(
        Frame(image, *np.ones((2, *image.shape), bool), 0.06, np.zeros_like(image))
        for image in (broad, sharp)
    )


@pytest.fixture
def files(tmp_path):
    """Frames of 6.6 arcsec, HST in electrons / s with correlated noise, and PSFs of other widths than the stars'."""
    g = np.random.default_rng(1)
    noise = gaussian_filter(g.standard_normal((110, 110)), 0.6)
    hst = sky_image(110, COARSE, BROAD) / FACTOR + 0.02 * noise / noise.std() + 0.05
    nircam = sky_image(220, FINE, SHARP, SHIFT) + 0.03 * g.standard_normal((220, 220)) - 0.01
    jansky = FACTOR * 1e6 * COARSE**2 / (180 / np.pi * 3600) ** 2
    made = {
        "f160w": (hst, header(110, COARSE, BUNIT="ELECTRONS/S", PHOTFNU=jansky)),
        "f160w_weight": (np.ones((110, 110)), None),
        "f160w_psf": (7 * gaussian_psf(0.21, COARSE, 15), None),
        "f150w": (nircam, header(220, FINE, SHIFT, BUNIT="MJy/sr")),
        "f150w_psf": (gaussian_psf(0.05, FINE, 15), None),
    }
    for role, (image, cards) in made.items():
        fits.PrimaryHDU(image.astype(np.float32), cards).writeto(tmp_path / f"{role}.fits")
    return {role: str(tmp_path / f"{role}.fits") for role in made}


def changed(files, role, change, **cards):
    with fits.open(files[role]) as file:
        data, h = change(file[0].data.astype(float)), file[0].header.copy()
    h.update(cards)
    fits.PrimaryHDU(data.astype(np.float32), h).writeto(files[role], overwrite=True)


# ---------------------------------------------------------------------------- stamps


def scene(pixels: int = 32) -> torch.Tensor:
    """The sources at the scene's pixels, (1, 1, pixels, pixels)."""
    return torch.from_numpy(sky_image(pixels, FINE, 0.0, sources=SOURCES))[None, None]


def chi2(problem) -> float:
    """Of the unseen image under the true scene."""
    a = problem.observation
    r = (a.arrays["sharp"] - problem.sharp.operator(scene())[0, 0].numpy()) / a.attrs["sharp_std"]
    return float((r**2).mean())


def test_both_images_are_those_of_the_scene(files):
    """Units, background, widths and places of both frames: the true scene fits the stamp and the unseen image.

    The NIRCam pixels lie 0.3 and 0.2 off the scene's: without these it does not fit.
    """
    arrays, attrs = observe_hst(settings(), files, 32)
    problem = load_problem(Observation("hst", arrays, attrs))
    broad = problem.operator(scene())[0, 0].numpy()
    assert chi2(problem) == pytest.approx(1, abs=0.15)
    r = (arrays["images"][0] - broad) / attrs["noise_std"]
    assert (r**2).mean() == pytest.approx(1, abs=0.35) and abs(
        r.mean()
    ) < 0.5  # noise of 16 x 16 pixels, correlated
    assert attrs["noise_std"] == pytest.approx(0.02 * FACTOR, rel=0.05) and attrs["unit"] == "MJy/sr"
    flux = arrays["images"].sum() * COARSE**2
    assert flux == pytest.approx(0.4, abs=0.02)  # some of it is beyond the stamp
    for shift in (0.0, -SHIFT[0]), (-SHIFT[1], 0.0):  # as if one of the two offsets were not known
        psf = match_width(gaussian_psf(0.05, FINE, 15), FINE, FINE, FINE, SHARP, shift).psf
        problem.sharp.psf = torch.from_numpy(psf)
        assert chi2(problem) > 1.3


def test_blank_sky_has_a_chi2_of_its_own(files):
    """Nearly one under the law measured on it, and what that law gives away to its smallest variances less."""
    numbers = observe_hst(settings(), files, 32)[1]["numbers"]
    assert numbers["sky_chi2"] == pytest.approx(1, abs=0.2) and 0 < numbers["sky_chi2_std"] < 0.5


def test_centred_frames_need_no_coordinates(files):
    """Cut-outs around the object, one of them with a header that is wrong: the same stamps as with the right ones."""
    right, attrs = observe_hst(settings(), files, 32)
    changed(files, "f160w", lambda image: image, CROTA2=20.0)
    with pytest.raises(io.InputError, match=r"turned by .*20\.00 degrees"):
        observe_hst(settings(), files, 32)
    changed(files, "f150w", lambda image: image, CTYPE1="X", CTYPE2="Y")
    with pytest.raises(io.InputError, match="give an image with a WCS"):
        observe_hst(settings(), files, 32)
    found, other = observe_hst(settings(centred=True), files, 32)
    assert np.array_equal(found["images"], right["images"])
    assert np.array_equal(found["sharp"], right["sharp"]) and other["wcs"].keys() == attrs["wcs"].keys()
    # NIRCam's frame is off by a known part of a pixel: the frames show it roughly, the other sources correct that,
    # or the settings say it
    n = other["numbers"]
    assert n["alignment_applied"] == 1
    for axis, known in zip("xy", SHIFT, strict=True):
        rough, error = n[f"frame_offset_{axis}_arcsec"], n[f"frame_offset_{axis}_error_arcsec"]
        assert abs(rough - known * FINE) < 3 * error < COARSE * 2
        assert rough + n[f"shift_{axis}_arcsec"] == pytest.approx(known * FINE, abs=0.002)
    told = observe_hst(settings(centred=True, check_offset=[d * FINE for d in SHIFT]), files, 32)[1]
    assert told["numbers"]["alignment_applied"] == 0
    assert told["sharp_offset"] == pytest.approx(attrs["sharp_offset"], abs=1e-6)
    assert other["sharp_offset"] == pytest.approx(attrs["sharp_offset"], abs=0.1)


def test_faint_frames_are_laid_on_each_other():
    """The offset of frames without a bright source: its error is that of twelve pairs, whose offsets are known."""
    blur = np.sqrt(BROAD**2 - SHARP**2) / 2.3548 / FINE
    places = WCS(header(110, COARSE)), WCS(header(220, FINE))
    box = (slice(47, 63), slice(47, 63))
    z = []
    for seed in range(12):
        true = np.random.default_rng(100 + seed).uniform(-4, 4, 2)
        frame, other = faint_frames(seed, tuple(true))
        found, error = offset_of_frames(frame, places[0], other, places[1], blur, box)
        z.append((found - true * FINE / COARSE) / error)
    assert 0.4 < np.mean(np.square(z)) < 2.2 and np.abs(z).max() < 4
    assert (error < 0.7).all()
    with pytest.raises(ValueError, match="does not say where they belong"):
        empty, other = faint_frames(0, (0, 0), 0.0)
        offset_of_frames(empty, places[0], other, places[1], blur, box)


def test_the_comparison_leaves_a_hole(files):
    whole = observe_hst(settings(), files, 32)[0]["sharp_keep"]
    keep = observe_hst(settings(hole=0.2), files, 32)[0]["sharp_keep"]
    y, x = (np.indices((32, 32)) - 15.5) * FINE
    assert np.array_equal(keep, whole * (np.hypot(y, x) >= 0.2))


def test_electrons_by_either_of_two_headers(tmp_path):
    """The cards of WFC3 F125W, whose PHOTFNU is 1.1672636e-7; the zero point of ACS F606W is 26.49 AB magnitudes."""
    factor = {}
    for name, cards in {
        "fnu": {"PHOTFNU": 1.1672636e-7},
        "flam": {"PHOTFLAM": 2.2446e-20, "PHOTPLAM": 12486.06},
        "acs": {"PHOTFLAM": 7.86211131e-20, "PHOTPLAM": 5921.8912},
        "none": {},
    }.items():
        path = tmp_path / f"{name}.fits"
        h = fits.Header({"BUNIT": "ELECTRONS/S"} | cards)
        fits.PrimaryHDU(np.ones((3, 3), np.float32), h).writeto(path)
        factor[name], unit = brightness_unit(str(path), COARSE)
        assert unit == ("MJy/sr" if cards else "ELECTRONS/S")
    assert factor["flam"] == pytest.approx(factor["fnu"], rel=1e-4) and factor["none"] == 1
    jansky = factor["acs"] * 1e6 * COARSE**2 / (180 / np.pi * 3600) ** 2
    assert -2.5 * np.log10(jansky / 3631) == pytest.approx(26.49, abs=0.005)


def test_the_scene_is_where_it_is_on_the_sky(files):
    """A stamp around a place 0.3 arcsec east and 0.18 south: the object is right of and above its middle."""
    from astropy.wcs import WCS

    place = [RA + 0.3 / 3600 / np.cos(np.radians(DEC)), DEC - 0.18 / 3600]
    arrays, attrs = observe_hst(settings(position=place), files, 32)
    x, y = WCS(fits.Header(attrs["wcs"].items())).world_to_pixel_values(RA, DEC)
    assert (x, y) == (pytest.approx(15.5 + 0.3 / FINE, abs=1.01), pytest.approx(15.5 + 0.18 / FINE, abs=1.01))
    row, column = np.unravel_index(gaussian_filter(arrays["sharp"], 3).argmax(), (32, 32))
    assert abs(column - x) < 3 and abs(row - y) < 3


def test_offsets_of_sources_are_found_and_applied(files):
    """A WCS that is a third of an HST pixel off: seen on the other sources, and undone."""
    wrong = header(220, FINE, (SHIFT[0] + 0.66, SHIFT[1] - 0.4), BUNIT="MJy/sr")
    changed(files, "f150w", lambda v: v, CRPIX1=wrong["CRPIX1"], CRPIX2=wrong["CRPIX2"])
    frame, sharp = (read_frame(files, role, SKY | {"reach": 40.0}) for role in ("f160w", "f150w"))
    blur = np.sqrt(BROAD**2 - SHARP**2) / 2.355 / FINE
    found = offsets_of_sources(frame, read_wcs(files["f160w"]), sharp, read_wcs(files["f150w"]), blur)
    assert len(found) >= 6 and np.median(found, 0) == pytest.approx([-0.33, 0.2], abs=0.03)
    arrays, attrs = observe_hst(settings(), files, 32)
    assert attrs["numbers"]["alignment_applied"] == 1 and attrs["numbers"]["alignment_sources"] == 6
    assert attrs["numbers"]["shift_x_arcsec"] == pytest.approx(-0.33 * COARSE, abs=0.002)
    assert chi2(load_problem(Observation("hst", arrays, attrs))) < 1.3
    assert attrs["sharp_offset"] == pytest.approx([-SHIFT[1], -SHIFT[0]], abs=0.05)


def test_alignment_of_two_frames(files):
    at, J = alignment(read_wcs(files["f160w"]), read_wcs(files["f150w"]), 54.5, 54.5)
    assert at == pytest.approx([109.5 + SHIFT[0], 109.5 + SHIFT[1]], abs=1e-6)
    assert np.allclose(J, 2 * np.eye(2), atol=1e-6)


def test_the_problem_runs_on_it(files):
    g = np.random.default_rng(0)
    images = np.stack([gaussian_filter(g.standard_normal((32, 32)) ** 2, 2) for _ in range(60)])[:, None]
    images *= np.outer(np.hanning(32), np.hanning(32)) ** 2
    observation = HSTProblem.from_data(settings(), files, moments_of(images))
    problem = load_problem(observation)
    assert problem.shape == (1, 32, 32) and problem.wcs["CTYPE1"] == "RA---TAN"
    assert torch.allclose(
        problem.matrix, problem.operator.matrix(), atol=1e-12
    )  # by rows, of which there are fewer
    truth = scene()[0] / observation.attrs["flux_scale"]
    x = truth + 0.01 * torch.randn(3, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    found = problem.residuals(x)
    assert found["sharp_correlation"] > 0.95 and found["sharp_colour"] == pytest.approx(1, abs=0.05)
    assert found["chi2_dof"].shape == found["sharp_sample_correlation"].shape == (3,)
    assert "truth" not in observation.arrays and "rmse" not in found
    titles = [panel.title for panel in problem.panels(x)]
    assert titles[0] == "HST F160W exposure" and "NIRCam F150W image (unseen)" in titles
    baselines = problem.baselines(moments_of(images))
    assert set(baselines) == {"richardson-lucy", "wiener", "drizzled"}
    r = {name: problem.checked(name, image)["correlation"] for name, image in baselines.items()}
    assert r["drizzled"] > 0.8 and max(r.values()) < found["sharp_correlation"]


# ---------------------------------------------------------------------------- files that cannot be used


def holed(v):
    v[55, 55] = np.nan
    return v


@pytest.mark.parametrize(
    ("role", "change", "cards", "message"),
    [
        ("f160w", holed, {}, r"1 bad pixels in the stamp"),
        (
            "f160w_weight",
            lambda v: holed(v) * 0 + (np.indices(v.shape)[0] != 54),
            {},
            r"bad pixels in the stamp",
        ),
        ("f160w_weight", lambda v: v[:-1], {}, r"expected \(110, 110\)"),
        ("f160w", lambda v: v, {"CDELT1": -0.05 / 3600}, r"pixels of 0\.0\d+ arcsec, the settings say 0\.06"),
        ("f160w", lambda v: v, {"CTYPE1": "", "CTYPE2": ""}, r"world coordinates"),
        ("f150w", lambda v: v, {"CROTA2": 5.0}, r"turned by -?5\.0. degrees"),
        ("f150w", lambda v: v, {"CRVAL1": RA + 0.0009}, r"does not hold the 32 pixels"),
        ("f160w_psf", lambda v: v[:-1], {}, r"no point-spread function"),
        ("f160w_psf", lambda v: -v, {}, r"no point-spread function"),
        ("f150w_psf", lambda v: v * 0 + 1, {}, r"check psf_scales"),
    ],
)
def test_files_that_cannot_be_used(files, role, change, cards, message):
    changed(files, role, change, **cards)
    with pytest.raises(io.InputError, match=message) as error:
        observe_hst(settings(), files, 32)
    assert f"{role.removesuffix('_weight')}" in str(error.value) and "\n" not in str(error.value)


def test_positions_and_roles_that_are_not_there(files):
    for position in ([RA + 0.001, DEC], [RA + 180, -DEC]):
        with pytest.raises(io.InputError, match=r"f160w\.fits: .*position"):
            observe_hst(settings(position=position), files, 32)
    for role in ("f160w", "f150w", "f160w_psf"):
        with pytest.raises(io.InputError, match=rf"no file for '{role}'.*datasets\.tsv"):
            observe_hst(settings(), {k: v for k, v in files.items() if k != role}, 32)


# ---------------------------------------------------------------------------- the data themselves


def mirrored(name: str) -> dict[str, str]:
    mirror = os.environ.get("SKYSCORE_MIRROR")
    with open(ROOT / "config" / "datasets.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    files = {
        row["file"]: str(Path(mirror or ".") / row["url"].split("://")[1])
        for row in rows
        if row["dataset"] == name
    }
    if not mirror or not all(map(os.path.exists, files.values())):
        pytest.skip("no mirror of the HST and NIRCam frames; name one by SKYSCORE_MIRROR=DIR")
    return files


@pytest.mark.parametrize("name", ["cosj100018clumps", "cosj100028disk", "cosj100018ring"])
def test_real_frames(name):
    """Both telescopes measure the same flux in these bands, to the colour of galaxies, and show the same object."""
    from docs.make.sizes import overlaid

    config = overlaid("real")
    own = config["problems"][name] | {"noise": config["datasets"]["sky32"]["sky"]}
    arrays, attrs = observe_hst(HSTProblem.completed(own), mirrored(own["data"]), 64)
    numbers = attrs["numbers"]
    assert arrays["sharp"].sum() * FINE**2 == pytest.approx(arrays["images"].sum() * COARSE**2, rel=0.1)
    low = enlarged(arrays["images"][0], COARSE, 64, FINE)
    found = compared(low, gaussian_filter(arrays["sharp"], 2.5), arrays["sharp_keep"] > 0, FINE)
    assert found["correlation"] > 0.9
    assert (
        abs(numbers["wcs_rotation_degree"]) < 1e-3
        and numbers["peak_snr"] > 15
        and abs(numbers["rim_snr"]) < 1.5
    )
    assert numbers["sky_std"] == pytest.approx(0.0064, rel=0.05)  # MJy / sr: the same mosaic
    assert 2.9 < numbers["noise_kurtosis"] < 3.2 and 4 < numbers["noise_sum_rho"] < 9


def test_real_sky_is_enough():
    from docs.make.sizes import overlaid

    block = overlaid("real")["datasets"]["sky32"]
    files = {f"{name}/{role}": path for name in block["data"] for role, path in mirrored(name).items()}
    for split in ("train", "held_out"):
        patches = Sky.cut(200, block["pixels"], block["sky"], files, split, 0)
        assert patches.std() == pytest.approx(1, abs=0.03) and abs(patches.mean()) < 0.1
