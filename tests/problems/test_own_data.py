"""A user's own files, one block each: the worked example of docs/how-to/own-data.md runs as it stands."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from astropy import units
from astropy.io import fits
from astropy.wcs import WCS

from skyscore import io
from skyscore.priors import MomentsPrior
from skyscore.problems import PROBLEMS
from tests.helpers import observer
from tests.helpers.own import PIXELS, SMALL, configuration, images, inputs
from tests.helpers.workflow import ROOT, copy_workflow, jobs

sys.path.append(str(ROOT / "src"))

from scripts.observe import observe
from scripts.sample import sample
from scripts.validate import residuals


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    observer.everything(folder, PIXELS)
    return folder


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
        "HST F814W exposure", "Residual / core sigma"
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
