"""The HST and NIRCam frames of the archives themselves, where SKYSCORE_MIRROR names a folder that holds them."""

import csv
import os
from pathlib import Path

import pytest
from scipy.ndimage import gaussian_filter

from skyscore.problems.hst.check_scores import compared, enlarged
from skyscore.problems.hst.observed import observe_hst
from skyscore.problems.hst.problem import HSTProblem
from skyscore.simulate.sky import Sky
from tests.helpers.frames import (
    COARSE,
    FINE,
)
from tests.helpers.workflow import ROOT


def mirrored(name: str) -> dict[str, str]:
    mirror = os.environ.get("SKYSCORE_MIRROR")
    with open(ROOT / "config" / "datasets.tsv", newline="") as table:
        rows = list(csv.DictReader(table, delimiter="\t", quoting=csv.QUOTE_NONE))
    files = {
        row["file"]: str(Path(mirror or ".") / row["url"].split("://")[1])
        for row in rows
        if row["dataset"] == name
    }
    if not mirror or not all(map(os.path.exists, files.values())):
        pytest.skip("no mirror of the HST and NIRCam frames; name one by SKYSCORE_MIRROR=DIR")
    return files


@pytest.mark.parametrize("name", ["cosj100018clumps", "cosj100028disk", "cosj100018ring"])
def test_real_frames(name):
    """Both telescopes measure the same flux in these bands, to the colour of galaxies, and show the same object."""
    from docs.make.sizes import overlaid

    config = overlaid("real")
    own = config["problems"][name] | {"noise": config["datasets"]["sky32"]["sky"]}
    arrays, attrs = observe_hst(HSTProblem.completed(own), mirrored(own["data"]), 64)
    numbers = attrs["numbers"]
    assert arrays["sharp"].sum() * FINE**2 == pytest.approx(arrays["images"].sum() * COARSE**2, rel=0.1)
    low = enlarged(arrays["images"][0], COARSE, 64, FINE)
    found = compared(low, gaussian_filter(arrays["sharp"], 2.5), arrays["sharp_keep"] > 0, FINE)
    assert found["correlation"] > 0.9
    assert (
        abs(numbers["wcs_rotation_degree"]) < 1e-3
        and numbers["peak_snr"] > 15
        and abs(numbers["rim_snr"]) < 1.5
    )
    assert numbers["sky_std"] == pytest.approx(0.0064, rel=0.05)  # MJy / sr: the same mosaic
    assert 2.9 < numbers["noise_kurtosis"] < 3.2 and 4 < numbers["noise_sum_rho"] < 9


def test_real_sky_is_enough():
    from docs.make.sizes import overlaid

    block = overlaid("real")["datasets"]["sky32"]
    files = {f"{name}/{role}": path for name in block["data"] for role, path in mirrored(name).items()}
    for split in ("train", "held_out"):
        patches = Sky.cut(200, block["pixels"], block["sky"], files, split, 0)
        assert patches.std() == pytest.approx(1, abs=0.03) and abs(patches.mean()) < 0.1
