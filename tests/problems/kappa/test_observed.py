"""A catalogue of galaxies as a shear map: places and signs on the sky, noise, clusters, bad columns, COSMOS itself."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.io import fits

from skyscore import io
from skyscore.operators.shear import decompose
from skyscore.problems.kappa.files import read_catalogue, read_clusters
from skyscore.problems.kappa.observed import cluster_check, observe_shear, to_pixels
from skyscore.problems.kappa.problem import KappaProblem
from tests.helpers.workflow import ROOT

RA, DEC = 150.0, 2.0
TABLE = """# ID RA Dec r500 flux err z M500 err
1 {:.5f} {:.5f} 1.0 1 0.1 0.35 8.0 0.5
2 150.1 2.1 1.0 1 0.1 0.7 1.0 0.5
"""


def settings(**changed):
    return KappaProblem.completed({}) | changed


@pytest.fixture
def catalogue(tmp_path):
    """Galaxies around a mass 10 arcmin east and 5 north of the middle: tangential shear, e2 on axes west and north."""
    rng = np.random.default_rng(0)
    n = 40_000
    west, north = rng.uniform(-24, 24, (2, n))  # arcmin
    x, y = west + 10, north - 5
    r2 = x**2 + y**2 + 1
    gamma = 2 / r2
    columns = {
        "ra": RA - west / 60 / np.cos(np.radians(DEC + north / 60)),
        "dec": DEC + north / 60,
        "e1": -gamma * (x**2 - y**2) / r2 + 0.02 * rng.standard_normal(n),
        "e2": -gamma * 2 * x * y / r2 + 0.02 * rng.standard_normal(n),
        "weight": rng.uniform(0.5, 1.5, n),
    }
    files = {name: str(tmp_path / f"{name}.fits") for name in columns}
    for name, column in columns.items():
        fits.PrimaryHDU(column).writeto(files[name])
    files["clusters"] = str(tmp_path / "clusters.txt")
    place = RA + 10 / 60 / np.cos(np.radians(DEC)), DEC + 5 / 60
    (tmp_path / "clusters.txt").write_text(TABLE.format(*place))
    return files


def test_a_mass_is_where_it_is_on_the_sky(catalogue):
    """The E mode peaks at the cluster, the B mode does not; east is to the left."""
    arrays, attrs = observe_shear(settings(pixel_scale=1.0, center=[RA, DEC]), catalogue, 48)
    E, B = (mode.numpy() for mode in decompose(torch.from_numpy(arrays["shear"])))
    row, column = np.unravel_index(E.argmax(), E.shape)
    x, y, z, mass = arrays["clusters"][0]
    assert abs(column - x) < 1 and abs(row - y) < 1 and x == pytest.approx(13.5, abs=0.1)
    assert np.abs(B[5:-5, 5:-5]).max() < 0.2 * E.max()
    assert len(arrays["clusters"]) == 1 and (z, mass) == (0.35, 8.0)  # the other one is lighter than 3e13
    here, elsewhere, sd = cluster_check(E[None], arrays["clusters"], arrays["keep"] > 0)
    assert here[0] > elsewhere + 4 * sd
    assert attrs["wcs"]["CD1_1"] < 0 < attrs["wcs"]["CD2_2"]


def test_means_and_noise_are_those_of_the_galaxies_of_a_pixel(catalogue):
    s = settings(pixel_scale=2.0, center=[RA, DEC])
    arrays, attrs = observe_shear(s, catalogue, 24)
    found = read_catalogue(catalogue)
    x, y = to_pixels(attrs["wcs"], found["ra"], found["dec"])
    own = (np.rint(x) == 7) & (np.rint(y) == 12)
    w = found["weight"][own]
    assert arrays["galaxies"][12, 7] == own.sum()
    assert arrays["shear"][1, 12, 7] == pytest.approx(np.average(found["e2"][own], weights=w))
    sigma_e = attrs["numbers"]["sigma_e"]
    assert arrays["std"][12, 7] == pytest.approx(sigma_e * np.sqrt((w**2).sum()) / w.sum())


def test_the_noise_is_as_large_as_it_says(catalogue):
    """Shapes without lensing, of weights that differ: the map is white noise of the stated variance, to 3 errors."""
    for k, name in enumerate(("e1", "e2")):
        e = 0.3 * np.random.default_rng(k).standard_normal(40_000)
        fits.PrimaryHDU(e).writeto(catalogue[name], overwrite=True)
    arrays, _ = observe_shear(settings(pixel_scale=2.0, center=[RA, DEC]), catalogue, 24)
    z = (arrays["shear"] / arrays["std"])[:, arrays["keep"] > 0]
    assert (z**2).mean() == pytest.approx(1, abs=3 * np.sqrt(2 / z.size))


def test_the_problem_runs_on_it(catalogue):
    class Moments:
        mean = np.zeros(16 * 16)

    given = {"pixel_scale": 3.0, "center": [RA, DEC], "padding": 4}
    problem = KappaProblem(KappaProblem.from_data(given, catalogue, Moments))
    assert problem.shape == (1, 16, 16) and problem.wcs["CTYPE1"] == "RA---TAN"
    x = torch.randn(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    found = problem.residuals(x)
    assert (
        found["clusters_kappa"].shape == (3,)
        and found["clusters_ks_e"] > 3 * found["clusters_ks_e_random_sd"]
    )
    assert any(panel.marks is not None for panel in problem.panels(x))


@pytest.mark.parametrize(
    ("role", "change", "message"),
    [
        ("e1", lambda c: c[:-1], r"shape \(39999,\)"),
        ("e2", lambda c: np.where(np.arange(len(c)) == 3, np.nan, c), "not finite"),
        ("weight", lambda c: -c, "weights must be positive"),
        ("dec", lambda c: c + 300, "not on the sky"),
        ("e1", lambda c: c + 10, "ellipticities beyond 5"),
    ],
)
def test_columns_that_cannot_be(catalogue, role, change, message):
    column = fits.getdata(catalogue[role])
    fits.PrimaryHDU(change(column)).writeto(catalogue[role], overwrite=True)
    with pytest.raises(io.InputError, match=message) as error:
        observe_shear(settings(center=[RA, DEC]), catalogue, 16)
    assert f"{role}.fits" in str(error.value) and ";" in str(error.value)


def test_a_missing_column_an_empty_map_and_a_bad_table(catalogue, tmp_path):
    with pytest.raises(io.InputError, match=r"no file for weight.*datasets\.tsv"):
        read_catalogue({k: v for k, v in catalogue.items() if k != "weight"})
    with pytest.raises(io.InputError, match="check center and pixel_scale"):
        observe_shear(settings(center=[10.0, 50.0]), catalogue, 16)
    for content in ("no table", "# only a head\n"):
        (tmp_path / "x.txt").write_text(content)
        with pytest.raises(io.InputError, match=r"x\.txt"):
            read_clusters(str(tmp_path / "x.txt"))


def test_cosmos_shows_its_clusters():
    """The published catalogue: at X-ray clusters the E mode stands out by more than 5 sigma, the B mode does not."""
    mirror, table = os.environ.get("SKYSCORE_MIRROR"), ROOT / "config" / "datasets.tsv"
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    files = {row[1]: str(Path(mirror or ".") / row[2].split("://")[1]) for row in rows if row[0] == "cosmos"}
    if not mirror or not all(map(os.path.exists, files.values())):
        pytest.skip("no mirror of the COSMOS catalogue; name one by SKYSCORE_MIRROR=DIR")
    arrays, attrs = observe_shear(settings(pixel_scale=1.0), files, 96)
    assert attrs["numbers"]["clusters"] == 21 and attrs["numbers"]["sigma_e"] == pytest.approx(0.3, abs=0.01)
    E, B = decompose(torch.from_numpy(arrays["shear"]))
    for mode, low, high in ((E, 5, 20), (B, -3, 3)):
        here, elsewhere, sd = cluster_check(mode.numpy()[None], arrays["clusters"], arrays["keep"] > 0)
        assert low < (here[0] - elsewhere) / sd < high
