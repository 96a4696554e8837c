"""The configuration as a run gets it: checked, completed, and each setting traced to the file that holds it."""

from __future__ import annotations

import pytest

from plan.configuration import checked_config, checked_table, source_of, stop
from tests.helpers.plan import configuration, table_rows
from tests.helpers.workflow import ROOT


def test_a_setting_comes_from_the_last_file_that_holds_it(tmp_path, monkeypatch):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("seed: 1\nproblems: {lens: {snr: 30}}\n")
    (tmp_path / "one.yaml").write_text("problems: {lens: {snr: 10}}\n")
    (tmp_path / "two.yaml").write_text("problems: {kappa: {}}\n")
    monkeypatch.chdir(tmp_path)
    source = source_of(tmp_path, ["one.yaml", "two.yaml"], {"train": True})
    assert source(("seed",)) == "config/config.yaml"
    assert source(("problems", "lens", "snr")) == "one.yaml"
    assert source(("problems", "kappa")) == "two.yaml"
    assert source(("train",)) == "--config"
    assert source(("mirror",)) == "configuration"  # a default: no file holds it
    assert source(()) == "two.yaml"


def test_a_wrong_setting_ends_the_run_with_one_line():
    with pytest.raises(SystemExit) as end:
        checked_config({"sede": 1}, lambda keys: "mine.yaml")
    assert str(end.value).startswith(
        "skyscore: error: mine.yaml: sede: unknown key 'sede'; did you mean 'seed'?"
    )
    assert "\n" not in str(end.value)


def test_a_checked_configuration_has_all_defaults():
    config = configuration()
    assert config["mirror"] is None and config["validation"]["chunk"] > 0
    assert checked_config(config, lambda keys: "again") == config


def test_rows_of_the_table_are_known_by_host_and_path():
    table = checked_table(ROOT)
    rows = table_rows()
    assert list(table) == [row["url"].split("://")[1] for row in rows]
    assert {row["dataset"] for row in table.values()} == {row["dataset"] for row in rows}


def test_a_wrong_row_ends_the_run_with_one_line(tmp_path):
    (tmp_path / "config").mkdir()
    header, first = (ROOT / "config" / "datasets.tsv").read_text().splitlines()[:2]
    cells = first.split("\t")
    cells[3] = "not a checksum"
    (tmp_path / "config" / "datasets.tsv").write_text("\n".join([header, "\t".join(cells)]) + "\n")
    with pytest.raises(SystemExit, match=r"skyscore: error: config/datasets\.tsv") as end:
        checked_table(tmp_path)
    assert "sha256" in str(end.value) and "\n" not in str(end.value)


def test_what_ends_a_run():
    assert str(stop("no file")) == "skyscore: error: no file"
