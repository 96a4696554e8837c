"""Samplers side by side: the error of posterior means, the figure and its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.figures import plot_samplers
from skyscore import io, plotting
from skyscore.validation.z_scores import error_of_mean, errors_by_scale
from tests.helpers.workflow import OVERLAYS, jobs


@pytest.mark.parametrize("samples", [2, 8])
def test_error_of_the_mean_of_a_gaussian(samples):
    """theta ~ N(0, 1), y = theta + N(0, s^2): the posterior mean errs by sqrt(s^2 / (1 + s^2)) of the prior's.

    However few the samples: their scatter is taken off. 2,000 simulations of 20 pixels; three standard errors.
    """
    g = np.random.default_rng(0)
    N, D, variance = 2000, 20, 0.25
    theta = g.standard_normal((N, D))
    y = theta + np.sqrt(variance) * g.standard_normal((N, D))
    gain = 1 / (1 + variance)
    x = gain * y + np.sqrt(gain * variance) * g.standard_normal((samples, N, D))
    value, error = error_of_mean(x, theta)
    assert abs(value - np.sqrt(variance / (1 + variance))) < 3 * error
    assert error < 0.01


def test_the_error_of_that_error_is_right():
    """Its standard error against the scatter over 300 repetitions, to 15 per cent (their own error is 4)."""
    g, found = np.random.default_rng(1), []
    for _ in range(300):
        theta = g.standard_normal((64, 4)) * np.array([1.0, 1.0, 0.3, 0.1])
        y = theta + 0.5 * g.standard_normal(theta.shape)
        gain = np.array([1.0, 1.0, 0.09, 0.01]) / (np.array([1.0, 1.0, 0.09, 0.01]) + 0.25)
        x = gain * y + np.sqrt(gain * 0.25) * g.standard_normal((8, *theta.shape))
        found.append(error_of_mean(x, theta))
    values, errors = np.transpose(found)
    assert values.std() == pytest.approx(errors.mean(), rel=0.15)


def test_data_that_say_nothing_and_all():
    theta = np.random.default_rng(2).standard_normal((400, 3))
    prior = np.random.default_rng(3).standard_normal((8, 400, 3))
    assert error_of_mean(prior, theta)[0] == pytest.approx(1, abs=0.1)
    assert error_of_mean(np.repeat(theta[None], 8, 0), theta)[0] < 1e-9


def test_errors_by_scale_say_where_data_stop():
    """White images seen without error up to 4 cycles per image, and not at all beyond."""
    g = np.random.default_rng(4)
    theta, other = g.standard_normal((60, 1, 16, 16)), g.standard_normal((6, 60, 1, 16, 16))
    k = np.hypot(*np.meshgrid(*[np.fft.fftfreq(16, 1 / 16)] * 2))
    x = np.fft.ifft2(np.where(k < 4, np.fft.fft2(theta), np.fft.fft2(other))).real
    found = {name: value for name, (value, _) in errors_by_scale(x, theta).items()}
    assert list(found) == ["k0", "k2", "k4", "k8"]
    assert found["k0"] < 1e-6 and found["k2"] < 1e-6
    assert found["k4"] == pytest.approx(1, abs=0.05) and found["k8"] == pytest.approx(1, abs=0.05)


NUMBERS = {
    "error_of_mean": 0.3, "error_of_mean_error": 0.01, "z2": 1.0, "z2_error": 0.02, "z2_k0": 1.1, "mira_z": 0.4,
    "tarp_p": 0.3, "ensemble_cost": 150.0, "ensemble_seconds": 0.25, "certified": 1,
}  # fmt: skip


@pytest.fixture
def tests(tmp_path) -> list[Path]:
    """Numbers of two samplers on a lens and of one on a map, as the workflow leaves them: a file each."""
    given = {
        ("lens", "cla"): NUMBERS | {"z2": 3.0, "tarp_p": 0.0, "certified": 0, "ensemble_cost": 30.0},
        ("lens", "mmps"): NUMBERS,
        ("kappa", "gibbs"): NUMBERS | {"chi2_mean": 1.01},
    }
    paths = []
    for (problem, sampler), numbers in given.items():
        flat = {f"{problem}/{sampler}/{key}": value for key, value in numbers.items()} | {"lens/certified": 1}
        paths.append(tmp_path / f"{problem}_{sampler}.json")
        bounds = {"low": 0.9, "high": 1.1}
        verdict = {"checks": [{"name": name, "value": numbers[name], **bounds} for name in ("z2", "z2_k0")]}
        io.write_numbers(paths[-1], flat, {"git_revision": "a" * 40, "seed": 1}, certificate=verdict)
    return paths


def test_the_figure_and_its_table(tests, tmp_path, monkeypatch):
    exact = tmp_path / "exact.json"
    io.write_numbers(
        exact,
        {f"exact/mmps/{task}/{key}": value for task, by in (("blur", 1.1), ("coarse", 1.5))
         for key, value in {"ratio": by, "cost": 400.0, "floor": 0.1}.items()},
        {"git_revision": "a" * 40, "seed": 1},
    )  # fmt: skip
    drawn, draw = {}, plotting.draw_samplers

    def seen(found):
        drawn.update(found)
        return draw(found)

    monkeypatch.setattr(plotting, "draw_samplers", seen)
    out = [tmp_path / f"samplers.{kind}" for kind in ("pdf", "png", "rst", "json")]
    order = {"kappa": ["gibbs"], "lens": ["mmps", "cla"]}
    plot_samplers.main(tests, [exact], *out, order=order)
    assert all(path.stat().st_size > 5000 for path in out[:2])
    assert {problem: list(samplers) for problem, samplers in drawn.items()} == order
    assert drawn["lens"]["mmps"]["z2_allowed"] == (0.9, 1.1)
    caption = out[2].read_text()
    assert (
        '"lens", "cla", "0.300 +- 0.010", "3.00 +- 0.02", "< 0.001", "+0.4", "", "", "30", "0.25", "no"'
        in caption
    )
    assert (
        '"kappa", "gibbs", "0.300 +- 0.010", "1.00 +- 0.02", "0.300", "+0.4", "", "1.010", "150", "0.25", "yes"'
        in caption
    )
    assert '"mmps", "1.30", "400"' in caption
    numbers = io.read_json(out[3])["numbers"]
    assert numbers["lens/mmps/z2_k0"] == 1.1
    assert numbers["lens/cla/certified"] == 0 and numbers["exact/mmps/ratio"] == pytest.approx(1.3)


def test_what_failed_is_red_and_nothing_else(tests):
    pairs = plot_samplers.by_pair([io.read_json(path) for path in tests])
    figure = plotting.draw_samplers({"lens": {name: pairs["lens"][name] for name in ("mmps", "cla")}})
    colours = {line.get_color() for axes in figure.axes for line in axes.lines}
    for axes in figure.axes:
        points = [c[0] for c in axes.containers]
        assert [p.get_color() for p in points] == [plotting.validation.PASSED[0], plotting.validation.FAILED]
    assert plotting.validation.FAILED in colours


@pytest.mark.parametrize("name", ["default", "test", "samplers"])
def test_all_samplers_from_one_command(snakemake, workflow, name):
    """The target `samplers` certifies every sampler of every problem; the default run puts its own side by side."""
    done = snakemake("-n", "samplers", *OVERLAYS[name], cwd=workflow)
    assert done.returncode == 0, done.stdout
    planned = jobs(done.stdout)
    assert planned["plot_samplers"] == 1
    assert planned["certify"] == {"default": 11, "test": 7, "samplers": 28}[name]
    assert "figures/samplers_all.pdf" in done.stdout
    assert "figures/samplers_validated.pdf" in snakemake("-n", *OVERLAYS[name], cwd=workflow).stdout
