"""The scripts that do more than read, call and write."""

from __future__ import annotations

import json

import numpy as np
import pytest

from scripts.certify import collect_numbers
from scripts.figures import plot_exact
from scripts.train import train_prior
from skyscore import io, plotting
from tests.helpers.plan import Views, wildcards
from tests.helpers.workflow import ROOT


def test_numbers_are_merged_without_collisions(tmp_path):
    io.write_numbers(tmp_path / "a.json", {"lens/mmps/chi2_dof": 1.0125, "lens/n": 3})
    io.write_numbers(tmp_path / "b.json", {"exact/mmps/blur/ratio": 1.5})
    paths = [tmp_path / name for name in ("numbers.json", "numbers.tex", "numbers.rst", "provenance.json")]
    collect_numbers.main(*paths, inputs=[tmp_path / "a.json", tmp_path / "b.json"], settings={"seed": 1})
    numbers = io.read_json(paths[0])
    assert numbers == {"exact/mmps/blur/ratio": 1.5, "lens/mmps/chi2_dof": 1.0125, "lens/n": 3}
    tex = paths[1].read_text()
    assert r"\expandafter\newcommand\csname skyscore@lens/mmps/chi2_dof\endcsname{1.012}" in tex
    assert r"\csname skyscore@lens/n\endcsname{3}" in tex
    assert '"lens / mmps", "", "1.01"' in paths[2].read_text()
    assert "All 3 numbers are in ``numbers.json``" in paths[2].read_text()
    assert set(io.read_json(paths[3])["jobs"]) == {str(tmp_path / "a.json"), str(tmp_path / "b.json")}
    io.write_numbers(tmp_path / "b.json", {"lens/n": 4})
    with pytest.raises(io.InputError, match=r"b\.json: the number 'lens/n' is already given"):
        collect_numbers.main(*paths, inputs=[tmp_path / "a.json", tmp_path / "b.json"], settings={})


def test_differences_of_settings():
    made = {"pixels": 32, "training": {"steps": 100, "batch": 8}}
    assert list(train_prior.differences(made, made)) == []
    asked = {"pixels": 32, "training": {"steps": 200, "batch": 8}}
    assert list(train_prior.differences(made, asked)) == ["training.steps: 100, not 200"]
    assert list(train_prior.differences({}, {"pixels": 1})) == ["pixels: None, not 1"]


def test_shipped_weights_must_answer_to_the_settings(tmp_path):
    path = tmp_path / "weights.safetensors"
    io.write_weights(path, {}, {"settings": json.dumps({"pixels": 16})})
    with pytest.raises(
        io.InputError, match=r"weights\.safetensors: made with other settings \(pixels: 16, not 32\)"
    ):
        train_prior.take(path, {"pixels": 32})


SMALL = {
    "kind": "neural",
    "pixels": 8,
    "images": {"n": 20, "shapes": {}},
    "network": {"patch": 2, "channels": [8], "blocks": 1, "attention": 0},
    "training": {"steps": 2, "batch": 4, "learning_rate": 1e-3, "warmup": 1, "decay": 0.5, "ema": 0.1}
    | {"log_sigma_mean": -1.2, "log_sigma_std": 1.5, "symmetry": "square", "compile": False},
}


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_weights_of_either_precision_are_accepted(tmp_path, monkeypatch, precision):
    """The precision of a training is in the record of its weights, and no part of what they are known by."""
    monkeypatch.chdir(tmp_path)  # of the checkpoints
    images = np.random.default_rng(0).normal(size=(20, 1, 8, 8)).astype(np.float32)
    io.write_dataset(tmp_path / "train.h5", {}, train=images)
    made, taken = tmp_path / "made.safetensors", tmp_path / "taken.safetensors"
    common = {"name": "small", "seed": 1, "checkpoint_every": 10}
    train_prior.main(tmp_path / "train.h5", made, settings=SMALL, precision=precision, **common)
    metadata = io.read_weights(made)[1]
    assert json.loads(metadata["record"])["precision"] == precision
    assert json.loads(metadata["settings"]) == SMALL
    for older in (
        {},
        {"precision": "float32"},
        {"precision": "bfloat16"},
    ):  # settings of weights that are shipped
        settings = SMALL | {"training": SMALL["training"] | older}
        tensors, about = io.read_weights(made)
        io.write_weights(made, tensors, about | {"settings": json.dumps(settings)})
        train_prior.main(made, taken, settings=SMALL, **common)
        assert taken.read_bytes() == made.read_bytes()
    with pytest.raises(io.InputError, match=r"training\.steps: 2, not 3"):
        train_prior.take(made, SMALL | {"training": SMALL["training"] | {"steps": 3}})


def test_shipped_weights_answer_to_the_shipped_configuration():
    """Weights that come with the repository were made in bfloat16. They are taken as they are in every precision."""
    parameters = Views("real", priors={"galaxies32": {"training": {"precision": "float32"}}}).parameters
    shipped = sorted((ROOT / "weights").glob("*.safetensors"))
    assert len(shipped) >= 10
    for path in shipped:
        settings = parameters.prior(wildcards(prior=path.stem))
        assert "precision" not in settings["training"]
        assert train_prior.take(path, settings) == path.read_bytes()


@pytest.mark.parametrize(("samplers", "words"), [(3, {"s0", "s1", "s2"}), (9, {"2.50", "40", "3e+08"})])
def test_the_figure_of_the_exact_benchmark_is_points_or_a_table(samplers, words):
    """A table where there are more samplers than colours; a ratio that is missing leaves its cell empty."""
    flat = {f"exact/s{k}/blur/ratio": 2.5 for k in range(samplers)}
    flat |= {"exact/s0/faint/ratio": 40.0, "exact/s1/faint/ratio": 3e8, "exact/s0/blur/ratio_error": 0.1}
    axes = plotting.draw_exact(flat).axes[0]
    legend = axes.get_legend()
    texts = {text.get_text() for text in (legend.get_texts() if legend else axes.texts)}
    assert texts == words


def test_table_of_the_exact_benchmark():
    text = plot_exact.table(
        {"exact/tds/blur/ratio": 1.234, "exact/tds/blur/ratio_error": 0.056, "exact/tds/nfe": 3}
    )
    assert '"tds", "blur", "1.23", "0.06"' in text
    assert "nfe" not in text


def test_images_of_a_figure_are_north_up():
    from skyscore.plotting import mosaic

    image = np.zeros((1, 1, 2, 3))
    image[0, 0, 1, 2] = 1  # top right: +y, +x
    assert mosaic(image, 1)[0, 2] == 1  # drawn with the origin at the top
