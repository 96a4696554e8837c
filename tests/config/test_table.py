"""The table of files, config/datasets.tsv: a wrong row is answered with one line."""

from __future__ import annotations

import pytest

from skyscore.config.datasets import check_table
from skyscore.config.settings import SettingsError
from tests.helpers.plan import table_rows


def test_the_table_of_data_sets():
    table = check_table(table_rows(), "datasets.tsv")
    assert {row["file"] for row in table if row["dataset"] == "sdssj1430"} == {
        "image",
        "mask",
        "noise_map",
        "psf",
    }
    assert all(isinstance(row["bytes"], int) for row in table if row["fetch"] == "auto")
    by_hand = {row["dataset"] for row in table if row["fetch"] == "manual"}
    assert by_hand >= {"probes", "kappatng", "massivenus", "dsharp", "galsimcosmos"}
    assert len({row["url"] for row in table}) == len(table)


@pytest.mark.parametrize(
    ("column", "value", "answer"),
    [
        ("sha256", "abc", "line 2.sha256 is 'abc'"),
        ("bytes", "many", "line 2.bytes is 'many', expected integer"),
        ("url", "ftp://host/file", "line 2.url"),
        ("license", "MIT", "unknown key 'license'; did you mean 'licence'?"),
        ("fetch", "never", "line 2.fetch is 'never', not one of"),
        ("sha256", "", "line 2: the key 'sha256' is missing; only rows with `fetch` manual may leave it out"),
        ("citation", "", "line 2: the key 'citation' is missing; Publication to cite."),
    ],
)
def test_a_wrong_table_is_one_clear_line(column, value, answer):
    table = table_rows()
    table[0][column] = value
    with pytest.raises(SettingsError, match=r"^datasets\.tsv: ") as error:
        check_table(table, "datasets.tsv")
    assert answer in str(error.value)
    assert "\n" not in str(error.value)
