"""Own files, one block each (docs/examples/own.yaml): the worked example of docs/own-data.md, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import observer
import pytest
import yaml
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS
from conftest import ROOT, copy_workflow, jobs

from skyscore import io, settings
from skyscore.overlays import merged
from skyscore.priors import MomentsPrior
from skyscore.problems import PROBLEMS
from skyscore.problems.flux import moments_of
from skyscore.simulate.convergence import Convergence

sys.path.append(str(ROOT / "src"))

import observe
import residuals
import sample

PIXELS = 16
EXAMPLE = ROOT / "docs" / "examples" / "own.yaml"
SMALL = {  # the example on the prior of the test configuration
    "problems": {
        "mylens": {"prior": "gaussian16", "n_samples": 4},
        "myshapes": {"prior": "kappa16", "n_samples": 8},
        "myshear": {"prior": "kappa16", "n_samples": 8},
        "mygalaxy": {"prior": "galaxies16", "n_samples": 8, "scale": 0.06},
        "mydisk": {"prior": "galaxies16", "n_samples": 8, "field": 2.4},
        "mytable": {"prior": "galaxies16", "n_samples": 8, "field": 2.4},
    }
}
APART = ("samplers", "n_samples", "simulations", "prior", "truth", "same_as", "exercise", "noise", "files")


def configuration(files: Path | None = None) -> dict:
    """The example under the test configuration with its small priors, paths of its files from a folder."""
    config = {}
    for path in (ROOT / "config" / "config.yaml", ROOT / "config" / "test.yaml", EXAMPLE):
        config = merged(config, yaml.safe_load(path.read_text()))
    config = merged(config, SMALL)
    if files is not None:
        for problem in config["problems"].values():
            own = problem.get("files") or {}
            own.update({role: str(files / Path(path).name) for role, path in own.items()})
    return settings.check_config(config)


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    observer.everything(folder, PIXELS)
    return folder


def images(problem: dict) -> np.ndarray:
    """What a prior learns from: fields of the convergence, or round blobs on dark ground."""
    if problem["kind"] == "kappa":
        return Convergence.simulate(400, PIXELS, {"pixel_scale": 2.5}, 1)
    g = np.random.default_rng(1)
    x, y = observer.grid(PIXELS, 1.0)
    made = [
        g.uniform(0.3, 1.0) * observer.blob(x - a, y - b, s)
        for a, b, s in zip(*g.normal(0, 2, (2, 600)), g.uniform(1, 3, 600), strict=True)
    ]
    return np.stack(made)[:, None].astype(np.float32)


def inputs(name: str, mine: Path, **changed) -> tuple[dict, dict[str, str]]:
    """Settings and files of a block, as the rules hand them on."""
    problem = configuration(mine)["problems"][name]
    return {key: value for key, value in problem.items() if key not in APART} | changed, dict(
        problem["files"]
    )


@pytest.fixture(scope="module")
def run(mine, tmp_path_factory):
    """Rules observe, sample and residuals of a block, under a Gaussian prior; the folder of their products."""

    def products(name: str) -> Path:
        folder, config = tmp_path_factory.mktemp(name), configuration(mine)
        problem, (own, files) = config["problems"][name], inputs(name, mine)
        learned = images(problem)
        io.write_dataset(folder / "held_out.h5", held_out=learned)
        MomentsPrior.fit(learned).save(folder / "prior.safetensors")
        made = folder / "observation.h5", folder / "observation.json"
        paths, roles = list(files.values()), list(files)
        observe.main(
            folder / "held_out.h5", *made, name=name, settings=own, seed=1, files=paths, roles=roles, code="-"
        )
        posterior = folder / "posterior.h5", folder / "posterior.fits"
        sampler, n = config["samplers"][problem["samplers"][0]], problem["n_samples"]
        start = made[0], folder / "prior.safetensors"
        sample.main(*start, *posterior, sampler=sampler, n=n, seed=1, name=name, device="cpu")
        fit = folder / "residuals.json", folder / "panels.h5"
        residuals.main(made[0], posterior[0], *fit, problem=name, sampler="s")
        return folder

    return products


def checked(folder: Path, name: str, unit: units.UnitBase, n: int, tangent: bool = True):
    """Mean and header of products whose axes, units, places and origin h5py and astropy alone can tell."""
    with h5py.File(folder / "observation.h5") as file:
        unnamed = [key for key, data in file.items() if not all(axis.label for axis in data.dims)]
        assert not unnamed
        assert all(data.attrs["units"] for data in file.values())
    with h5py.File(folder / "posterior.h5") as file:
        assert [axis.label for axis in file["physical"].dims] == ["n", "channel", "y", "x"]
        x = file["physical"].dims[3]["x"]  # the dimension scale
        assert x.is_scale and x.shape == (PIXELS,) and x[0] == -x[-1] < 0
        assert units.Unit(x.attrs["units"]) in (units.arcsec, units.arcmin)
        source = json.loads(file.attrs["provenance"])
        physical = file["physical"][:, 0]
    assert source["problem"] == name and source["observation"]["settings"]["kind"] in PROBLEMS
    assert all(len(digest) == 64 for digest in source["observation"]["files"].values())
    with fits.open(folder / "posterior.fits", checksum=True) as file:
        file.verify("exception")
        cards = file[0].header
        assert cards["OBJECT"] == name and len(cards["SETHASH"]) == 16
        assert json.loads("".join(cards["HISTORY"]))["observation"] == source["observation"]
        for hdu in file:
            assert units.Unit(hdu.header["BUNIT"]) == unit
            assert WCS(hdu.header).has_celestial == tangent
        assert file["SAMPLES"].data.shape == (n, PIXELS, PIXELS)
        assert np.allclose(file["SAMPLES"].data, physical, rtol=1e-5, atol=1e-7 * np.abs(physical).max())
        mean, header = file["MEAN"].data.copy(), cards.copy()
    return mean, header


def centroid(mean: np.ndarray, header: fits.Header, share: float = 0.3) -> tuple[float, float]:
    """Right ascension and declination of the middle of what is brighter than a share of the peak (degree)."""
    y, x = np.indices(mean.shape)
    w = np.where(mean > share * mean.max(), mean, 0)
    return WCS(header).celestial.pixel_to_world_values((w * x).sum() / w.sum(), (w * y).sum() / w.sum())


def offset(at: tuple[float, float], place: str) -> tuple[float, float]:
    ra, dec = observer.PLACES[place]
    return (at[0] - ra) * np.cos(np.radians(dec)) * 3600, (at[1] - dec) * 3600


def test_own_visibilities(run):
    """UVFITS and NumPy archive of one source: east and north of the phase centre, and alike."""
    found = []
    for name in ("mydisk", "mytable"):
        folder = run(name)
        mean, header = checked(folder, name, units.Jy / units.pix, 8)
        found.append(offset(centroid(mean, header), "disk"))
        assert found[-1] == pytest.approx(observer.DISK, abs=0.06)
        fit = io.read_json(folder / "residuals.json")["numbers"]
        assert fit[f"{name}/s/chi2_dof"] == pytest.approx(1, abs=0.1)
        assert fit[f"{name}/s/flux_jy"] == pytest.approx(0.1, abs=0.02)
    assert found[0] == pytest.approx(found[1], abs=0.02)


@pytest.mark.parametrize("name", ["myshapes", "myshear"])
def test_own_shear(run, name):
    """The mass is where the WCS says, of a catalogue and of maps."""
    folder = run(name)
    mean, header = checked(folder, name, units.dimensionless_unscaled, 8)
    east, north = offset(centroid(mean, header, 0.5), "shear")
    assert (-east / 60, north / 60) == pytest.approx(observer.MASS, abs=1.25)  # half a pixel
    fit = io.read_json(folder / "residuals.json")["numbers"]
    assert fit[f"{name}/s/chi2_dof"] == pytest.approx(1, abs=0.25)
    assert fit[f"{name}/s/unmasked_pixels"] == (256 if name == "myshapes" else 247)


def test_an_own_image_needs_no_check(run):
    folder = run("mygalaxy")
    mean, header = checked(folder, "mygalaxy", units.electron / units.s, 8)
    assert offset(centroid(mean, header), "galaxy") == pytest.approx(observer.GALAXY, abs=0.03)
    fit = io.read_json(folder / "residuals.json")["numbers"]
    assert fit["mygalaxy/s/chi2_dof"] == pytest.approx(1, abs=0.25)
    assert not any("sharp" in key for key in fit)
    assert [panel.title for panel in io.read_panels(folder / "panels.h5")][:2] == [
        "HST F814W exposure", "residual / core sigma"
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- the workflow


@pytest.fixture
def clone(tmp_path, mine):
    """A copy of the workflow with the files beside it."""
    folder = copy_workflow(tmp_path)
    (folder / "docs").mkdir()
    shutil.copytree(ROOT / "docs" / "examples", folder / "docs" / "examples")
    shutil.copytree(mine, folder / "mine")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    return folder


def overlays(*more: str) -> list[str]:
    return ["--configfile", "config/test.yaml", "docs/examples/own.yaml", "small.yaml", *more]


def test_every_block_is_planned_as_it_is_written(snakemake, clone):
    """With the priors that come with the repository: nothing is downloaded, nothing trained."""
    done = snakemake("-n", "--configfile", "docs/examples/own.yaml", cwd=clone)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["observe"] == planned["sample"] == 6 and planned["plot_posterior"] == 6
    assert "download_file" not in planned and planned["prepare"] == 2


def test_missing_files_are_named_at_once(snakemake, clone):
    for name in ("lens.fits", "lens_psf.fits"):
        (clone / "mine" / name).unlink()
    done = snakemake("-n", "real_lens", *overlays(), cwd=clone)
    line = next(line for line in done.stdout.splitlines() if "no such file" in line)
    assert done.returncode != 0
    assert "docs/examples/own.yaml: problems.mylens.files: no such file: image 'mine/lens.fits'" in line
    assert "psf 'mine/lens_psf.fits'" in line and "correct the path" in line and str(clone) in line
    assert (
        snakemake("-n", "real_radio", *overlays(), cwd=clone).returncode == 0
    )  # what is not asked for may be absent


def test_blank_sky_may_be_cut_from_own_files(snakemake, clone):
    (clone / "sky.yaml").write_text(
        "datasets: {mysky: {kind: sky, data: [mygalaxy], pixels: 16, train: 32, held_out: 16, "
        "sky: {band: f814w, fewest: 1}}}\n"
    )
    done = snakemake("results/own/data/mysky/held_out.h5", "--cores", "1", *overlays("sky.yaml"), cwd=clone)
    assert done.returncode == 0, done.stdout
    assert io.read_dataset(clone / "results/own/data/mysky/held_out.h5", "held_out").std() == pytest.approx(
        1, abs=0.15
    )


@pytest.mark.slow
def test_an_own_lens_from_its_files_to_its_posterior(snakemake, clone):
    """The rules as a user runs them, on the smallest prior; the lens that made the arcs is found."""
    wanted = ["results/own/mylens/mmps/posterior.fits", "results/own/mylens/mmps/residuals.json"]
    done = snakemake(*wanted, "--cores", "1", *overlays(), cwd=clone)
    assert done.returncode == 0, done.stdout[-6000:]
    own = clone / "results" / "own" / "mylens"
    for name in ("posterior.h5", "posterior.fits"):
        shutil.copy(own / "mmps" / name, own / name)
    mean, header = checked(own, "mylens", units.electron / units.s, 4)
    assert header["CD1_1"] < 0 < header["CD2_2"]
    assert offset(centroid(mean, header), "lens") == pytest.approx(
        (-observer.SOURCE[0], observer.SOURCE[1]), abs=0.1
    )
    found = io.read_json(own / "observation.json")["numbers"]
    assert found["mylens/einstein_radius_arcsec"] == pytest.approx(observer.EINSTEIN, abs=0.05)
    fit = io.read_json(own / "mmps" / "residuals.json")["numbers"]
    assert 0.7 < fit["mylens/mmps/chi2_dof"] < 3  # of a prior of 16 pixels


# ---------------------------------------------------------------------------------------------- what is refused


def spoilt(mine: Path, folder: Path, name: str, change=lambda data: data, **cards) -> Path:
    """All files, one FITS image of them changed: its data, and cards of its header (None takes one out)."""
    for path in mine.iterdir():
        shutil.copy(path, folder / path.name)
    with fits.open(mine / name) as file:
        hdu = next(one for one in file if one.header["NAXIS"])
        data, header = change(hdu.data.copy()), hdu.header.copy()
    for key, value in cards.items():
        header.remove(key) if value is None else header.set(key, value)
    observer.save(folder / name, data, header)
    return folder


def refused(block: str, folder: Path, file: str, message: str, **changed) -> None:
    """The problem is refused in one line that names the file and a remedy."""
    own, files = inputs(block, folder, **changed)
    given = {key: value for key, value in own.items() if key not in ("kind", "data")}
    with pytest.raises(io.InputError, match=message) as error:
        PROBLEMS[own["kind"]].from_data(given, files, moments_of(images(own)))
    text = str(error.value)
    assert file in text and ";" in text and "\n" not in text


def with_nan(data: np.ndarray) -> np.ndarray:
    data[tuple(n // 2 for n in data.shape)] = np.nan
    return data


@pytest.mark.parametrize(
    ("file", "change", "cards", "message"),
    [
        ("lens.fits", with_nan, {}, "1 unmasked pixel"),
        ("lens_noise.fits", lambda d: d[1:], {}, r"shape \(84, 85\), expected \(85, 85\)"),
        ("lens_noise.fits", lambda d: d, {"BUNIT": "count"}, "in count, the image .*electron/s"),
        (
            "lens.fits",
            lambda d: d,
            {"CDELT1": -1.0e-5, "CDELT2": 1.0e-5},
            "0.0360 arcsec where pixel_scale says 0.1",
        ),
        ("lens_psf.fits", lambda d: d[:-1], {}, "two odd sides"),
    ],
)
def test_a_lens_that_cannot_be_used(mine, tmp_path, file, change, cards, message):
    refused("mylens", spoilt(mine, tmp_path, file, change, **cards), file, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t["Dec"].__setattr__("unit", "rad"), "'dec' is in rad; give degrees"),
        (lambda t: t["g1"].__setitem__(7, np.nan), "values of e1 that are not finite"),
        (
            lambda t: t.rename_column("g2", "gamma2"),
            r"no column 'g2' \(it holds ra, dec, g1, gamma2, weight\)",
        ),
        (lambda t: t["g2"].__imul__(100), "ellipticities beyond 5"),
    ],
)
def test_a_catalogue_that_cannot_be_used(mine, tmp_path, change, message):
    from astropy.table import Table

    table = Table.read(mine / "shapes.fits")
    change(table)
    table.write(tmp_path / "shapes.fits")
    refused("myshapes", tmp_path, "shapes.fits", message)


@pytest.mark.parametrize(
    ("file", "change", "cards", "message"),
    [
        ("gamma_1.fits", with_nan, {}, r"1 unmasked pixel.*role mask"),
        ("gamma_2.fits", lambda d: d[:, :-1], {}, r"a map of \(16, 15\), the prior has \(16, 16\)"),
        ("gamma_std.fits", lambda d: -d, {}, "no unmasked pixel of positive noise"),
        ("gamma_2.fits", lambda d: 1e4 * d, {}, "a shear of"),
        (
            "gamma_1.fits",
            lambda d: d,
            {"CDELT1": -0.01, "CDELT2": 0.01},
            "0.6000 arcmin where pixel_scale says 2.5",
        ),
    ],
)
def test_maps_that_cannot_be_used(mine, tmp_path, file, change, cards, message):
    refused("myshear", spoilt(mine, tmp_path, file, change, **cards), file, message)


@pytest.mark.parametrize(
    ("file", "change", "cards", "changed", "message"),
    [
        ("galaxy.fits", lambda d: d, {"CTYPE1": None, "CTYPE2": None}, {}, "no world coordinates"),
        ("galaxy.fits", with_nan, {}, {}, "1 bad pixels in the stamp"),
        ("galaxy.fits", lambda d: d, {}, {"data_scale": 0.05}, "set data_scale right"),
        ("galaxy.fits", lambda d: d, {}, {"position": [150.2, 2.2]}, "reach beyond the frame"),
        ("galaxy_psf.fits", lambda d: d[1:], {}, {}, "two odd sides"),
    ],
)
def test_an_image_that_cannot_be_used(mine, tmp_path, file, change, cards, changed, message):
    refused("mygalaxy", spoilt(mine, tmp_path, file, change, **cards), file, message, **changed)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"u": 1e-3 * c["u"], "v": 1e-3 * c["v"]}, "give u and v in wavelengths"),
        (lambda c: c | {"V": np.where(np.arange(len(c["V"])) == 3, np.nan, c["V"])}, "not finite"),
        (lambda c: c | {"weights": c["weights"][1:]}, "one row for each visibility"),
        (lambda c: {key: c[key] for key in "uvV"}, "no array 'weights'"),
    ],
)
def test_visibilities_that_cannot_be_used(mine, tmp_path, change, message):
    with np.load(mine / "disk.npz") as file:
        np.savez(tmp_path / "disk.npz", **change(dict(file)))
    refused("mytable", tmp_path, "disk.npz", message)


def test_uncalibrated_uvfits_is_refused(mine, tmp_path):
    content = (mine / "disk.uvfits").read_bytes()
    (tmp_path / "disk.uvfits").write_bytes(content.replace(b"BUNIT   = 'JY      '", b"BUNIT   = 'UNCALIB '"))
    refused("mydisk", tmp_path, "disk.uvfits", "visibilities in UNCALIB; calibrate them to Jy")


@pytest.mark.parametrize(
    ("block", "change", "message"),
    [
        (
            "mylens",
            {"noise": "a.fits"},
            "problems.mylens.files.noise: there is no role of a file 'noise'.*noise_map",
        ),
        ("mygalaxy", {"f160w": "a.fits"}, "problems.mygalaxy.files.f160w.*f814w"),
        ("mydisk", {"visibilities": "a/*.uvfits"}, r"files.visibilities is 'a/\*.uvfits', expected a match"),
    ],
)
def test_roles_are_those_of_the_kind(block, change, message):
    config = configuration()
    config["problems"][block]["files"].update(change)
    with pytest.raises(settings.SettingsError, match=message):
        settings.check_config(config, "mine.yaml")


def test_downloaded_or_own_but_not_both():
    config = configuration()
    config["problems"]["mylens"]["data"] = "sdssj1430"
    with pytest.raises(settings.SettingsError, match=r"mylens\.files: beside `data: sdssj1430`; give one"):
        settings.check_config(config)
