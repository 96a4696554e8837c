"""A survey in parts (docs/how-to/clusters.md): what a part holds, that one runs, and samples that ignore the parts."""

from __future__ import annotations

import subprocess
import sys

import h5py
import pytest
import yaml

from benchmarks import survey as bench_survey
from skyscore import survey
from skyscore.config.settings import check_config
from tests.helpers.workflow import ROOT

LENS = {"kind": "lens", "prior": "gaussian32", "samplers": ["cla"], "n_samples": 2, "image_pixels": 24}
LENS |= {"image_scale": 0.24, "annulus": [0.4, 2.4]}
SURVEY = {"samplers": {"cla": {"steps": 6}}, "problems": {f"lens{i}": LENS for i in range(3)}}


def test_every_observation_is_in_one_part_and_its_files_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "image.fits").write_text("here")
    files = {"image": "mine/image.fits", "psf": "/elsewhere/psf.fits"}
    config = {"seed": 3, "problems": {f"lens{i}": {"kind": "lens", "files": files} for i in range(5)}}
    found = survey.split(config, "parts", 2, ROOT)
    assert [path.name for path in found] == ["00000", "00001", "00002"]
    written = [yaml.safe_load((path / "part.yaml").read_text()) for path in found]
    assert [list(part["problems"]) for part in written] == [["lens0", "lens1"], ["lens2", "lens3"], ["lens4"]]
    assert all(part["seed"] == 3 for part in written)
    own = written[2]["problems"]["lens4"]["files"]
    assert (found[2] / own["image"]).read_text() == "here" and own["psf"] == "/elsewhere/psf.fits"
    assert (found[0] / "weights").resolve() == ROOT / "weights"
    survey.split(config, "parts", 2, ROOT)  # again, over what is there


@pytest.mark.parametrize(
    "text, said",
    [
        ("seed: 1", "0 problems"),
        ("[", "expected"),
        ("- 1", "0 problems"),
        ("", "0 problems"),
        (None, "No such file"),
    ],
)
def test_what_cannot_be_split_is_one_line(text, said, tmp_path, monkeypatch, capsys):
    path = tmp_path / "survey.yaml"
    if text is not None:
        path.write_text(text)
    monkeypatch.setattr(sys, "argv", ["parts", str(path), str(tmp_path / "parts")])
    with pytest.raises(SystemExit) as ended:
        survey.main()
    assert ended.value.code == 2 and said in capsys.readouterr().err and not (tmp_path / "parts").exists()


@pytest.mark.slow
def test_samples_do_not_depend_on_the_parts(tmp_path):
    def samples(size, name):
        found = survey.split(SURVEY, tmp_path / str(size), size, ROOT)
        here = next(path for path in found if name in (path / "part.yaml").read_text())
        wanted = f"results/demo/{name}/cla/posterior.h5"
        done = subprocess.run(
            f"{sys.executable} -m snakemake -s {ROOT}/Snakefile -c 1 --configfile part.yaml -- {wanted}".split(),
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with h5py.File(here / wanted) as file:
            return file["samples"][:]

    alone, together = samples(1, "lens1"), samples(3, "lens1")
    assert alone.shape == (2, 1, 32, 32) and (alone == together).all()


@pytest.mark.slow
def test_the_bench_of_a_survey_scales_one_lens(monkeypatch):
    monkeypatch.setattr(bench_survey, "SIDES", {"cpu": (16,)})
    config = check_config(yaml.safe_load((ROOT / "config" / "config.yaml").read_text()))
    found = bench_survey.bench_survey(config, "cpu")
    hours = 1e5 * (found["prepare_s_16"] + 100 * found["s_per_sample_16"]) / 3600
    assert found["hours_16"] == pytest.approx(hours) and found["terabytes_16"] == pytest.approx(
        1e7 * 1024 / 1e12
    )
