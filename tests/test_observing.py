"""`skyscore.observe`: a problem from a user's files is that of the workflow's rules; the lines in the README run."""

from __future__ import annotations

import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import skyscore
from scripts.observe import observe as rule
from skyscore import io, observing
from skyscore.priors import MomentsPrior, NeuralPrior, load_prior
from skyscore.problems import Problem
from skyscore.statistics.moments import moments_of
from tests.helpers import observer
from tests.helpers.own import PIXELS, configuration, images, inputs
from tests.helpers.training import fresh
from tests.helpers.workflow import ROOT

LENS = {
    "fit_radius": 2.0,
    "annulus": [0.5, 1.9],
    "sky_radius": 2.4,
}  # less of the image than the example: faster


@pytest.fixture(scope="module")
def mine(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    observer.everything(folder, PIXELS)
    return folder


def without_clock(node):
    """Attributes of an observation without the wall time that a fit took."""
    if isinstance(node, dict):
        return {key: without_clock(value) for key, value in node.items() if "seconds" not in key}
    return list(map(without_clock, node)) if isinstance(node, tuple | list) else node


@pytest.mark.parametrize("name", ["mylens", "myshapes", "myshear", "mygalaxy", "mydisk"])
def test_it_is_what_the_workflow_makes(mine, tmp_path, name):
    """All arrays and attributes, to the last digit. Of the kappa problems, catalogue and maps."""
    block = configuration(mine)["problems"][name]
    learned = images(block)
    io.write_dataset(tmp_path / "held_out.h5", held_out=learned)
    own, files = inputs(name, mine, **(LENS if name == "mylens" else {}))
    made = tmp_path / "observation.h5", tmp_path / "observation.json"
    paths, roles = list(files.values()), list(files)
    rule.main(tmp_path / "held_out.h5", *made, name=name, settings=own, seed=1, files=paths, roles=roles)
    expected = io.read_observation(made[0])

    MomentsPrior.fit(learned).save(tmp_path / "prior.safetensors")
    settings = {key: value for key, value in own.items() if key not in ("kind", "data", "files")}
    prior, moments = tmp_path / "prior.safetensors", moments_of(learned)
    found = skyscore.observe(block["kind"], files, prior, moments=moments, device="cpu", **settings)
    assert isinstance(found, Problem) and found.kind == block["kind"]
    assert found.likelihood.y.device.type == "cpu"
    assert found.shape == (1, PIXELS, PIXELS)
    observation = found.observation
    assert observation.arrays.keys() == expected.arrays.keys()
    for key, array in expected.arrays.items():
        assert np.array_equal(observation.arrays[key], array), key
    attrs = {key: observation.attrs[key] for key in expected.attrs if key in observation.attrs}
    assert attrs.keys() >= {"settings", "flux_scale", "numbers"}
    assert without_clock(attrs) == without_clock({key: expected.attrs[key] for key in attrs})


def test_the_flux_scale_is_fitted_under_the_moments_of_the_prior(mine, tmp_path):
    """Those that a Gaussian prior keeps are those of its images to rounding (components in half precision)."""
    block = configuration(mine)["problems"]["mydisk"]
    own, files = inputs("mydisk", mine)
    settings = {key: value for key, value in own.items() if key not in ("kind", "data", "files")}
    learned = images(block)
    prior = MomentsPrior.fit(learned)
    found = [
        skyscore.observe("radio", files, prior, moments=given, **settings).observation.attrs["flux_scale"]
        for given in (None, moments_of(learned), moments_of(2 * learned))
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-3)
    assert found[0] == pytest.approx(2 * found[2], rel=1e-2)


def test_a_network_without_moments_takes_those_of_its_simulator(monkeypatch, capsys):
    """galaxies64 was stored without; the images that it learned from are made again."""
    monkeypatch.setattr(observing, "SIMULATED", 40)
    prior = load_prior(ROOT / "weights" / "galaxies64.safetensors")
    with pytest.raises(io.InputError, match=r"no moments of its training images.*moments=moments_of"):
        prior.moments()
    found = observing.population(prior)
    assert "40 simulated galaxies of 64 x 64 pixels" in capsys.readouterr().out
    assert found.mean.shape == (64**2,) and found.components.shape == (20, 64**2)
    smaller = load_prior(ROOT / "weights" / "galaxies32.safetensors").moments().mean.reshape(32, 32)
    shrunk = found.mean.reshape(32, 2, 32, 2).mean((1, 3))
    assert np.corrcoef(shrunk.ravel(), smaller.ravel())[0, 1] > 0.97  # the same sky, the pixels half as large


@pytest.mark.parametrize("settings", [{}, {"images": {"n": 4, "sky": {"reach": 16.0}, "data": ["a"]}}])
def test_images_that_cannot_be_made_again(settings):
    prior = NeuralPrior(fresh(), {"settings": json.dumps(settings)})
    with pytest.raises(io.InputError, match="train the prior again"):
        observing.population(prior)


@pytest.mark.parametrize(
    ("kind", "files", "settings", "message"),
    [
        ("lense", {}, {}, "no kind of problem 'lense'; did you mean 'lens'"),
        ("lens", {"imag": "a"}, {}, "files.imag: there is no role of a file 'imag'; did you mean 'image'"),
        ("lens", {}, {"pixel_scal": 1}, "pixel_scal: unknown key 'pixel_scal'; did you mean 'pixel_scale'"),
        ("lens", {}, {"pixel_scale": -1}, "pixel_scale is -1, must be greater than 0"),
        ("lens", {}, {"annulus": (1, 2, 3)}, "annulus has 3 entries"),
        ("lens", {}, {"n_samples": 3}, "unknown key 'n_samples'"),
        ("lens", {"image": "absent.fits"}, {"annulus": (1, 2)}, "no such file: image 'absent.fits'; correct"),
        (
            "hst",
            {"f814w": "a", "f606w_psf": "a"},
            {"band": "f814w"},
            "role of a file 'f606w_psf'; did you mean",
        ),
    ],
)
def test_mistakes_are_named_in_one_line(kind, files, settings, message):
    """Before the weights are read: their path is wrong too."""
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        skyscore.observe(kind, files, "absent.safetensors", **settings)
    assert str(error.value).startswith("observe: ") and "\n" not in str(error.value)


def test_a_missing_role_is_named(mine):
    with pytest.raises(io.InputError, match="no file for visibilities"):
        skyscore.observe("radio", {}, MomentsPrior.fit(np.ones((4, 1, 8, 8), np.float32)))


def test_importing_the_package_needs_no_torch():
    code = (
        "import sys, skyscore; assert 'torch' not in sys.modules; assert callable(skyscore.observe); "
        "assert 'torch' in sys.modules; from skyscore import observe; assert observe is skyscore.observe"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT / "src")
    with pytest.raises(AttributeError, match="no attribute 'observ'"):
        skyscore.observ  # noqa: B018


# ---------------------------------------------------------------------------------------------- the README

MARK = "<!-- ten lines: run by tests -->"


def block_of_readme() -> str:
    """The Python after the mark in README.md."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(re.escape(MARK) + r"\s*```python\n(.*?)```", text, re.DOTALL)
    assert found, f"README.md: no Python block after {MARK}"
    return found[1]


def test_the_ten_lines_of_the_readme(tmp_path, monkeypatch, capsys):
    """The block as it stands, on a lens of known mass and source. What is changed is said here, and nothing else is:
    the number of samples, and the weights, which are those of half as many pixels on a side.
    """
    code = block_of_readme()
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 10
    code, weights = re.subn(r"galaxies64\.safetensors", "galaxies32.safetensors", code)
    code, samples = re.subn(r"\bn=\d+", "n=4", code)
    assert weights == 1 and samples == 1
    observer.lens(tmp_path)
    for made, named in (("lens", "image"), ("lens_noise", "noise"), ("lens_psf", "psf")):
        (tmp_path / f"{made}.fits").rename(tmp_path / f"{named}.fits")
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ten_lines.py").write_text(code, encoding="utf-8")
    names = runpy.run_path("ten_lines.py")
    assert names["samples"].x.shape == names["images"].shape == (4, 1, 32, 32)
    chi2 = float(capsys.readouterr().out.splitlines()[-1])
    assert 0.7 < chi2 < 1.3
    problem = names["problem"]
    numbers = problem.observation.attrs["numbers"]
    assert numbers["einstein_radius_arcsec"] == pytest.approx(observer.EINSTEIN, abs=0.02)
    brightness = names["images"].mean(0)[0].numpy().clip(0)  # the source, at its place and as bright as it is
    x, y = observer.grid(32, problem.pixel_scale)
    centre = problem.observation.attrs["source_center"]
    at = [(brightness * axis).sum() / brightness.sum() + c for axis, c in zip((x, y), centre, strict=True)]
    assert at == pytest.approx(observer.SOURCE, abs=0.05)
    assert brightness.max() == pytest.approx(0.5, rel=0.3)
