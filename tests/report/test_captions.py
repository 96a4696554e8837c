"""Numbers in words, with their errors."""

import json

import pytest

from docs.make.sizes import overlaid
from skyscore.problems import PROBLEMS
from skyscore.report.captions import in_words
from tests.helpers.workflow import ROOT

NUMBERS = {
    "chi2_dof_arcs": 1.0592, "chi2_dof_arcs_p16": 1.0547, "chi2_dof_arcs_p84": 1.0629, "r": 0.97904, "r_error": 0.00712,
    "closure_096_chi2_dof": 3.698, "closure_101_chi2_dof": 1.294, "size_arcsec": 1.462, "size_error_arcsec": 0.012,
    "kappa_ks": 0.02261, "kappa_ks_random_sd": 0.00304, "count": 12.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "words, said",
    [
        ({"chi2_dof_arcs": "on the arcs"}, ["on the arcs 1.06 (1.05 to 1.06)"]),
        ({"r": "correlation"}, ["correlation 0.979 +- 0.0071"]),
        ({"size_arcsec": "radius"}, ["radius 1.46 +- 0.012"]),
        ({"kappa_ks": "E mode"}, ["E mode 0.0226 +- 0.003"]),
        ({"closure_(.*)_chi2_dof": "phases of {}"}, ["phases of 096 3.7", "phases of 101 1.29"]),
        ({"nothing": "nothing", "count": "count"}, ["count 12"]),
        ({}, []),
    ],
)
def test_numbers_are_said_with_their_errors(words, said):
    assert in_words(NUMBERS, words) == said


def test_every_kind_states_numbers_that_exist():
    """Of the record of the real skies: each pattern of each kind matches a number of that kind."""
    record, blocks = json.loads((ROOT / "docs/results/real.json").read_text()), overlaid("real")["problems"]
    for kind, problem in PROBLEMS.items():
        names = {name for name, block in blocks.items() if block["kind"] == kind}
        own = {key.rsplit("/", 1)[-1]: v for key, v in record.items() if key.split("/")[0] in names}
        for pattern, text in problem.CAPTION_NUMBERS.items():
            assert in_words(own, {pattern: text}), (kind, pattern)
