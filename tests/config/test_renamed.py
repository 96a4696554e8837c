"""Keys that were renamed: one line names the new one, and stored weights are read under their old names."""

from __future__ import annotations

import json

import pytest

from scripts.train import train_prior
from skyscore import io
from skyscore.config.renamed import RENAMED, old_keys, with_new_names
from skyscore.config.settings import SettingsError, check_config
from skyscore.io import InputError
from tests.helpers.configuration import shipped
from tests.helpers.plan import Views, wildcards
from tests.helpers.workflow import ROOT


@pytest.mark.parametrize(
    ("config", "line"),
    [
        ({"samplers": {"mmps": {"reach": 3.0}}}, "samplers.mmps.reach is now called start_sigmas; rename it"),
        ({"samplers": {"mmps": {"churn": 0.5}}}, "samplers.mmps.churn is now called eta; rename it"),
        (
            {"problems": {"hst2": {"same_as": "hst"}}},
            "problems.hst2.same_as is now called shares_truth_with; rename it",
        ),
        (
            {"datasets": {"sky32": {"kind": "sky", "sky": {"reach": 9.0}}}},
            "datasets.sky32.sky.reach is now called background_width; rename it",
        ),
    ],
)
def test_an_old_key_is_answered_with_the_new_one(config, line):
    with pytest.raises(SettingsError) as error:
        check_config(config, "config/mine.yaml")
    assert str(error.value) == f"config/mine.yaml: {line}"


def test_every_renamed_key_is_tested_and_exists_under_its_new_name():
    assert len(RENAMED) == 4
    config = check_config(shipped("real"))
    assert "shares_truth_with" in config["problems"]["lens"]
    assert "background_width" in config["datasets"]["sky32"]["sky"]
    assert {"start_sigmas", "eta"} <= set(config["samplers"]["mmps"])
    assert not list(old_keys(config))


def test_an_old_option_of_a_sampler_in_python():
    from skyscore.samplers import create

    with pytest.raises(ValueError, match=r"^mmps: the option 'reach' is now called 'start_sigmas'$"):
        create("mmps", reach=3.0)
    with pytest.raises(ValueError, match=r"^daps: unknown option 'churn' "):  # daps has no eta
        create("daps", churn=0.5)


# ---------------------------------------------------------------------------- weights


def test_stored_settings_under_their_new_names():
    stored = {"images": {"n": 4, "sky": {"reach": 16.0, "grow": 3}}, "training": {"reach": 1}}
    assert with_new_names(stored) == {
        "images": {"n": 4, "sky": {"background_width": 16.0, "grow": 3}},
        "training": {"reach": 1},  # another key of that name stays
    }
    assert stored["images"]["sky"]["reach"] == 16.0
    assert with_new_names({"images": {"n": 4, "galaxies": {}}}) == {"images": {"n": 4, "galaxies": {}}}


def test_shipped_weights_of_blank_sky_answer_to_the_configuration():
    path = ROOT / "weights" / "sky32.safetensors"
    stored = json.loads(io.read_weights(path)[1]["settings"])
    assert "reach" in stored["images"]["sky"]  # made before the key was renamed
    settings = Views("real").parameters.prior(wildcards(prior="sky32"))
    assert train_prior.take(path, settings) == path.read_bytes()
    settings["images"]["sky"]["background_width"] *= 2
    with pytest.raises(InputError, match=r"images\.sky\.background_width: 16\.0, not 32\.0"):
        train_prior.take(path, settings)
