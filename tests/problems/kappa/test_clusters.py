"""Cut-outs of a convergence map at clusters: where they are cut, the figure and its caption."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scripts.figures import plot_clusters
from skyscore import io, plotting
from skyscore.problems import Observation, Panel

PLACES = np.array([[3.2, 8.9], [0.4, 0.0], [11.0, 5.6]])  # column and row


def test_cut_outs_are_centred_on_the_pixel_of_the_cluster():
    image = np.arange(144.0).reshape(12, 12)
    cuts = plotting.cut_outs(image, PLACES, 2)
    assert cuts.shape == (3, 5, 5)
    assert [cut[2, 2] for cut in cuts] == [image[9, 3], image[0, 0], image[6, 11]]
    assert cuts[0, 2, 3] == image[9, 4] and cuts[0, 3, 2] == image[10, 3]  # columns to the right, rows up
    assert np.isnan(cuts[1, 0]).all() and np.isnan(cuts[2][:, 4]).all() and np.isfinite(cuts[1, 2:, 2:]).all()


def test_the_last_row_is_the_mean_of_all_clusters():
    image = np.random.default_rng(0).normal(size=(12, 12))
    maps = {"Posterior mean": image, "Standard deviation": np.abs(image), "Sample 1": image + 1}
    figure = plotting.draw_clusters(["a", "b"], maps, PLACES, 2, 2, 1.0)
    pictures = figure.axes[:9]
    last = np.asarray(pictures[6].images[0].get_array())
    assert np.allclose(last, np.nanmean(plotting.cut_outs(image, PLACES, 2), 0))
    assert pictures[6].get_ylabel() == "Mean of\nall 3"


@pytest.fixture
def products(tmp_path) -> list[Path]:
    """Observation, posterior, classical maps, panels and numbers, as the workflow leaves them."""
    g = np.random.default_rng(1)
    clusters = np.column_stack((PLACES, [0.3, 0.5, 0.7], [4.0, 9.0, 5.0]))
    paths = [tmp_path / name for name in ("o.h5", "p.h5", "b.h5", "panels.h5", "n.json")]
    io.write_observation(paths[0], Observation("kappa", {"keep": np.ones((12, 12)), "clusters": clusters}))
    problem = SimpleNamespace(
        unit="convergence", pixel_scale=2.0, scale_unit="arcmin", to_physical=lambda x: 0.02 * x
    )
    x = torch.randn(5, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    io.write_samples(paths[1], SimpleNamespace(x=x, nfe=1.0, nvjp=0.0, diagnostics={}), problem)
    io.write_panels(
        paths[2], [Panel(g.normal(size=(12, 12)), "wiener", 2.0, "convergence", "unknown", "signed")]
    )
    smooth = [
        Panel(g.normal(size=(12, 12)), name, 2.0, "convergence", "smooth", "signed")
        for name in ("E, 1", "B, 1")
    ]
    io.write_panels(paths[3], smooth)
    keys = ("kappa", "random", "random_sd", "ks_e", "ks_e_random_sd", "ks_b", "ks_b_random_sd")
    numbers = {f"cosmos/gibbs/clusters_{key}": 0.01 * (k + 1) for k, key in enumerate(keys)}
    io.write_numbers(paths[4], numbers, {"git_revision": "f" * 40, "seed": 1})
    return paths


def test_the_figure_and_its_table(products, tmp_path, monkeypatch):
    drawn = {}

    def seen(names, maps, places, *more):
        drawn.update(names=names, maps=maps, places=places)
        return draw(names, maps, places, *more)

    draw = plotting.draw_clusters
    monkeypatch.setattr(plotting, "draw_clusters", seen)
    out = [tmp_path / f"clusters.{kind}" for kind in ("pdf", "png", "rst")]
    plot_clusters.main(*products, *out, problem="cosmos", sampler="gibbs")
    assert all(path.stat().st_size > 5000 for path in out[:2])
    assert drawn["names"][0].startswith("9.0 e13") and np.allclose(drawn["places"][0], PLACES[1])  # by mass
    assert list(drawn["maps"])[2:] == ["Wiener", "Posterior\nmean", "Standard deviation",
                                       "Sample 1", "Sample 2", "Sample 3", "Sample 4"]  # fmt: skip
    caption = out[2].read_text()
    assert "the 3 clusters" in caption
    assert '"mean of the samples", "0.0100", "0.0300"' in caption
    assert '"B mode of Kaiser-Squires, smoothed", "0.0600", "0.0700"' in caption


def test_a_map_without_a_cluster_is_said(products, tmp_path):
    io.write_observation(products[0], Observation("kappa", {"keep": np.ones((12, 12))}))
    with pytest.raises(io.InputError, match="holds no data set 'clusters'"):
        plot_clusters.main(*products, "a", "b", "c", problem="cosmos", sampler="gibbs")
