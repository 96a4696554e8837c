"""The family photo of the lenses: what is drawn, how long its bars are, and when the workflow makes it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scripts.figures import plot_family
from skyscore import io, plotting
from tests.helpers.workflow import OVERLAYS, jobs


def one(folder: Path, name: str, redshift: float | None, kpc: float = 8.0) -> tuple[Path, Path]:
    """A posterior and the numbers of an observation, as the workflow leaves them."""
    x = torch.rand(5, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    problem = SimpleNamespace(unit="electron / s", pixel_scale=0.1, to_physical=lambda x: 2 * x)
    samples = SimpleNamespace(x=x, nfe=1.0, nvjp=0.0, diagnostics={})
    io.write_samples(folder / f"{name}.h5", samples, problem)
    found = {f"{name}/einstein_radius_arcsec": 1.2}
    if redshift is not None:
        found |= {f"{name}/source_redshift": redshift, f"{name}/source_kpc_per_arcsec": kpc}
    io.write_numbers(folder / f"{name}.json", found, {"git_revision": "f" * 40, "seed": 1})
    return folder / f"{name}.h5", folder / f"{name}.json"


def test_a_family_of_three(tmp_path):
    made = [one(tmp_path, name, z) for name, z in (("a", 0.5), ("b", 0.8), ("c", None))]
    posteriors, numbers = zip(*made, strict=True)
    out = [tmp_path / f"family.{kind}" for kind in ("pdf", "png", "rst")]
    plot_family.main(posteriors, numbers, *out, problems=["a", "b", "c"], samplers=["mmps", "mmps", "cla"])
    assert all(path.stat().st_size > 5000 for path in out[:2])
    caption = out[2].read_text()
    assert '"a", "0.5", "8.00", "mmps", "5"' in caption
    assert "Not shown, because the configuration has no redshifts for them: c." in caption


def test_without_a_redshift_there_is_nothing_to_draw(tmp_path):
    posterior, numbers = one(tmp_path, "a", None)
    with pytest.raises(io.InputError, match="add it to the problem of a lens"):
        plot_family.main([posterior], [numbers], "p", "q", "r", problems=["a"], samplers=["mmps"])


def test_bars_are_kiloparsecs_and_rows_mean_and_sample():
    """40 pixels of 0.05 arcsec at 8 kpc per arcsec: 16 kpc, so that the bar of 2 kpc is 5 pixels long."""
    samples = np.random.default_rng(1).random((3, 40, 40))
    figure = plotting.draw_family([plotting.Member("a", samples, 0.05, "Jy", 0.5, 8.0)] * 2)
    pictures = [axes for axes in figure.axes if axes.images]
    assert len(pictures) == 4
    assert np.array_equal(pictures[0].images[0].get_array(), samples.mean(0))
    assert np.array_equal(pictures[2].images[0].get_array(), samples[0])
    for axes in pictures:
        assert [text.get_text() for text in axes.texts] == ["2 kpc"]
        assert np.ptp(axes.lines[0].get_xdata()) == pytest.approx(5.0)
    assert pictures[0].get_title() == "a, z = 0.5\nPosterior mean"


@pytest.mark.parametrize("name", ["default", "real"])
def test_it_is_made_where_there_is_more_than_one_real_lens(snakemake, workflow, name):
    more = ["--config", "mirror=mirror"] if name == "real" else []
    done = snakemake("-n", "figures", *OVERLAYS[name], *more, cwd=workflow)
    assert done.returncode == 0, done.stdout
    assert ("plot_family" in jobs(done.stdout)) == (name == "real")
