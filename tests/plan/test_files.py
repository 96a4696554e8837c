"""The files behind a problem: rows of the table of downloads, or files of one's own."""

from __future__ import annotations

import pytest

from plan.files import Files
from tests.helpers.plan import Views, table_rows


@pytest.fixture(scope="module")
def real() -> Views:
    return Views("real")


def test_roles_of_a_problem_that_is_downloaded(real):
    found = real.files.of_problem("sdssj1430")
    rows = [row for row in table_rows() if row["dataset"] == "sdssj1430"]
    assert found == {row["file"]: "data/" + row["url"].split("://")[1] for row in rows}
    assert set(real.files.known_roles("sdssj1430")) == set(found)


def test_a_simulated_problem_has_no_files(real):
    assert real.files.of_problem("lens") == {} and not real.files.known_roles("lens")


def test_files_of_images_are_told_apart_by_data_set(real):
    found = real.files.of_images("sky32")
    assert {role.split("/")[0] for role in found} == {"cosj100018", "cosj100028"}
    assert found["cosj100018/f160w"] == real.files.of("cosj100018", "a test")["f160w"]
    assert real.files.of_images("galaxies32") == {}


def test_a_data_set_without_rows_is_named(real):
    with pytest.raises(
        SystemExit, match=r"no row for the dataset 'sdssj1340' of problem 'mine'; add its files"
    ):
        real.files.rows("sdssj1340", "problem 'mine'")
    assert real.files.rows(None, "problem 'lens'") == {}


def test_downloads_are_those_that_jobs_fetch_by_themselves(real):
    fetched = [row for row in table_rows() if row["fetch"] == "auto"]
    assert real.files.downloads() == ["data/" + row["url"].split("://")[1] for row in fetched]
    assert 0 < len(fetched) < len(table_rows())


def own(path) -> Files:
    problem = {"files": {"image": str(path / "a.fits"), "psf": str(path / "b.fits")}, "data": None}
    config = {"problems": {"mine": problem}, "datasets": {"cut": {"data": ["mine"]}}}
    return Files(config, {}, lambda keys: f"mine.yaml ({'.'.join(keys)})")


def test_own_files_are_taken_where_they_are(tmp_path):
    files = own(tmp_path)
    for name in ("a.fits", "b.fits"):
        (tmp_path / name).touch()
    expected = {"image": str(tmp_path / "a.fits"), "psf": str(tmp_path / "b.fits")}
    assert files.of_problem("mine") == files.of("mine", "a test") == expected
    assert files.of_images("cut") == {f"mine/{role}": path for role, path in expected.items()}


def test_own_files_that_are_not_there_are_all_named(tmp_path):
    files = own(tmp_path)
    assert set(files.known_roles("mine")) == {"image", "psf"}  # there or not
    with pytest.raises(SystemExit) as end:
        files.of_problem("mine")
    text = str(end.value)
    assert text.startswith(
        "skyscore: error: mine.yaml (problems.mine.files): problems.mine.files: no such file: "
    )
    assert f"image '{tmp_path}/a.fits', psf '{tmp_path}/b.fits'" in text and "\n" not in text
