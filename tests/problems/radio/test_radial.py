"""Radial profiles of inclined disks: closed form, orientation, rings, the figure, files that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from scripts.figures import plot_profile
from skyscore import io, plotting
from skyscore.io import InputError
from skyscore.problems import Panel
from skyscore.problems.radio.observed import read_profile
from skyscore.problems.radio.radial import DiskProfile, disk_of, radial_profile, ring_radius
from tests.helpers.workflow import OVERLAYS, jobs

SCALE, PIXELS, TILT = 0.02, 160, (35.0, 86.0)
RINGS = [0.6, 1.0]
BEAM = 0.12  # arcsec


def brightness(r):
    """Falls exponentially, with two rings; Jy / sr."""
    rings = sum(h * np.exp(-(((r - at) / 0.08) ** 2)) for h, at in zip((0.1, 0.05), RINGS, strict=True))
    return 1e10 * (np.exp(-r / 0.25) + rings)


def disk(inclination, position_angle, middle=(79.2, 80.7)):
    """The same on the sky, (PIXELS, PIXELS) in Jy / pixel: rows to the north, columns to the west."""
    rows, columns = np.mgrid[:PIXELS, :PIXELS]
    north, east = (rows - middle[0]) * SCALE, -(columns - middle[1]) * SCALE
    pa, squeezed = np.radians(position_angle), np.cos(np.radians(inclination))
    major, minor = east * np.sin(pa) + north * np.cos(pa), east * np.cos(pa) - north * np.sin(pa)
    return brightness(np.hypot(major, minor / squeezed)) * (SCALE * np.pi / 180 / 3600) ** 2


def table(factor=1.0):
    r = np.arange(0.004, 2.5, 0.008)
    return np.stack([r, factor * brightness(r)], 1)


@pytest.mark.parametrize("tilt", [(0.0, 0.0), TILT, (60.0, 20.0), (60.0, 160.0)])
def test_the_profile_of_a_tilted_disk_is_its_own(tilt):
    r = np.arange(0.2, 1.2, 0.02)
    found = radial_profile(disk(*tilt), SCALE, r, *tilt) / (SCALE * np.pi / 180 / 3600) ** 2
    assert np.abs(found / brightness(r) - 1).max() < 0.03


def test_a_wrong_position_angle_blurs_the_rings():
    profile, image = DiskProfile(table(), SCALE, PIXELS, *TILT, RINGS), disk(60.0, 20.0)
    right = DiskProfile(table(), SCALE, PIXELS, 60.0, 20.0, RINGS).compared(image[None], BEAM)
    mirrored = DiskProfile(table(), SCALE, PIXELS, 60.0, 160.0, RINGS).compared(image[None], BEAM)
    assert right["profile_correlation"] > 0.99 > mirrored["profile_correlation"] + 0.1
    assert profile.radii[0] == pytest.approx(3 * SCALE) and profile.radii[-1] < 0.4 * PIXELS * SCALE


def test_samples_against_a_published_profile():
    """Half as bright on half of the samples; rings where they are."""
    profile = DiskProfile(table(), SCALE, PIXELS, *TILT, RINGS)
    found = profile.compared(np.stack([disk(*TILT), 0.5 * disk(*TILT)]), BEAM)
    assert found["profile_ratio"] == pytest.approx([1.0, 0.5], rel=0.02)
    assert found["profile_ratio_at_beam"] == pytest.approx([1.0, 0.5], rel=0.02)
    published = profile.published_numbers()
    for k, at in enumerate(RINGS, 1):
        assert published[f"ring_{k}_published_arcsec"] == pytest.approx(at, abs=0.03)
        assert found[f"ring_{k}_arcsec"] == pytest.approx(
            [published[f"ring_{k}_published_arcsec"]] * 2, abs=0.021
        )


def test_at_the_beam_a_blurred_image_is_the_published_profile():
    """An image that has the beam's resolution, as the published profile is seen through it: equal, and unlike it."""
    profile = DiskProfile(table(), SCALE, PIXELS, *TILT, RINGS)
    seen = profile.of(gaussian_filter(disk(*TILT), BEAM / 2.3548 / SCALE)[None])[0]
    assert np.abs(seen / profile.published_at(BEAM) - 1).max() < 0.02
    assert np.abs(seen / profile.published - 1).max() > 0.3


def test_a_ring_is_looked_for_near_its_radius():
    r = np.arange(0.1, 1.3, 0.01)
    assert ring_radius(r, brightness(r), 0.62) == pytest.approx(0.61, abs=0.03)


@pytest.mark.parametrize(
    "text",
    ["", "1 2 3\n2 3 4", "0.1 1\n0.1 2", "0.2 1\n0.1 2", "a b\nc d", "0.1 1\n0.2 nan", "1 2", "\0\1\2"],
)
def test_files_that_hold_no_profile(tmp_path, text):
    path = tmp_path / "profile.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"profile\.txt: "):
        read_profile(path)


def test_what_a_profile_needs(tmp_path):
    np.savetxt(tmp_path / "p.txt", table())
    found = read_profile(tmp_path / "p.txt")
    assert np.allclose(found, table())
    s = {"field": SCALE * PIXELS, "disk": None, "rings": RINGS}
    with pytest.raises(InputError, match="set disk"):
        disk_of(s, found, PIXELS)
    with pytest.raises(InputError, match="beyond"):
        disk_of(s | {"disk": [35.0, 86.0], "rings": [1.5]}, found, PIXELS)
    assert disk_of(s | {"disk": [35.0, 86.0]}, found, PIXELS).rings == RINGS


@pytest.fixture
def products(tmp_path) -> list[Path]:
    """Reconstructions, their profiles and numbers, as the workflow leaves them."""
    paths = [tmp_path / name for name in ("c.h5", "c.json", "n.json")]
    samples = disk(*TILT) * np.linspace(0.9, 1.1, 5)[:, None, None]
    io.write_panels(paths[0], [Panel(samples.mean(0), "mmps: mean", SCALE, "Jy / pixel", "unknown")])
    profile = DiskProfile(table(), SCALE, PIXELS, *TILT, RINGS)
    content = profile.content({"clean": disk(*TILT)[None], "mmps": samples}, 0.144, 0.1)
    source = {"git_revision": "f" * 40, "seed": 1}
    io.write_numbers(paths[1], {}, source, profile=content)
    numbers = {}
    for key in ("ring_1_arcsec", "ring_2_arcsec", *(f"profile_{of}{at}" for of in ("ratio", "correlation")
                                                   for at in ("", "_at_beam"))):  # fmt: skip
        numbers |= {key: 0.61, f"{key}_p16": 0.6, f"{key}_p84": 0.62}
    io.write_numbers(paths[2], {f"disk/mmps/{key}": value for key, value in numbers.items()}, source)
    return paths


def test_the_figure_shows_samples_and_profile_in_one_unit(products, tmp_path, monkeypatch):
    drawn = {}

    def seen(radii, samples, lines, image, *more):
        drawn.update(radii=radii, samples=samples, lines=lines, image=image, rings=more[1], outlines=more[2])
        return draw(radii, samples, lines, image, *more)

    draw = plotting.draw_profile
    monkeypatch.setattr(plotting, "draw_profile", seen)
    out = [tmp_path / f"profile.{kind}" for kind in ("pdf", "png", "rst")]
    plot_profile.main(*products, *out, problem="disk", sampler="mmps")
    assert all(path.stat().st_size > 5000 for path in out[:2])
    known = 1e3 * brightness(drawn["radii"]) * (np.pi / 180 / 3600) ** 2  # mJy / arcsec^2
    assert np.abs(drawn["samples"][2] / known - 1).max() < 0.03
    assert np.abs(drawn["samples"][[0, 4]] / drawn["samples"][2] - np.array([[0.905], [1.095]])).max() < 0.01
    assert np.abs(drawn["lines"]["Published"] / known - 1).max() < 0.01
    assert np.abs(drawn["lines"]["CLEAN of these data"] / known - 1).max() < 0.03
    assert list(drawn["rings"]) == pytest.approx(RINGS, abs=0.03)
    assert drawn["image"].max() == pytest.approx(1e3 * disk(*TILT).max() / SCALE**2, rel=1e-5)
    # where a ring is outlined, the disk has its brightness
    on = (
        map_coordinates(disk(*TILT), np.array(drawn["outlines"])[..., 0], order=1)
        / (SCALE * np.pi / 180 / 3600) ** 2
    )
    assert on == pytest.approx(brightness(next(iter(drawn["rings"]))), rel=0.08)
    caption = out[2].read_text()
    assert "0.144 x 0.100 arcsec" in caption and '"ring 2 (arcsec)", "0.610 (0.600 to 0.620)"' in caption


def test_a_comparison_without_a_profile_is_said(products):
    io.write_numbers(products[1], {}, {"git_revision": "f" * 40, "seed": 1})
    with pytest.raises(InputError, match="contains no published profile"):
        plot_profile.main(*products, "a", "b", "c", problem="disk", sampler="mmps")


def test_a_profile_is_planned_where_there_is_one(snakemake, workflow):
    done = snakemake("-n", "real_radio", *OVERLAYS["real"], "--config", "mirror=mirror", cwd=workflow)
    assert done.returncode == 0, done.stdout
    assert jobs(done.stdout)["plot_profile"] == 1
    assert "results/real/figures/profile_as209_mmps.pdf" in done.stdout
