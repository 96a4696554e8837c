"""Numbers in the documentation are those of the recorded runs."""

import json

import pytest

from docs.make import numbers


@pytest.mark.parametrize("path", numbers.texts(), ids=lambda path: path.name)
def test_texts_quote_their_records(path):
    text = path.read_text()
    assert numbers.filled(text, numbers.records()) == text, f"{path.name}: run `make docs`"


def test_a_number_without_a_record_is_an_error():
    with pytest.raises(KeyError, match="demo:a/b is quoted"):
        numbers.filled("<!-- demo:a/b:.2f -->1<!-- -->", {"demo": {}})


def test_nested_records_are_flat():
    assert numbers.flat({"a": {"b": 1.5}, "provenance": {"x": 1}, "t": "text"}) == {"a/b": 1.5}
    assert (
        numbers.filled("<!-- r:a/b:.1f -->?<!-- -->", {"r": {"a/b": 1.5}}) == "<!-- r:a/b:.1f -->1.5<!-- -->"
    )


def test_the_effort_of_a_run_is_that_of_its_own_jobs(tmp_path):
    assert numbers.effort(tmp_path, "demo") == {}  # the results were copied from elsewhere
    records, benchmarks = tmp_path / ".snakemake" / "metadata", tmp_path / "results" / "demo" / "benchmarks"
    for folder in (records, benchmarks / "sample"):
        folder.mkdir(parents=True)
    for job, (name, start, end) in enumerate([("demo", 30, 90), ("demo", 60, 150), ("real", 0, 900)]):
        content = {"log": [f"results/{name}/logs/sample/{job}.log"], "starttime": start, "endtime": end}
        (records / str(job)).write_text(json.dumps(content))
    for job, row in (("lens", "7.5\t300.0"), ("radio", "2.5\t-"), ("kappa", "1.5\t400.0")):
        (benchmarks / "sample" / f"{job}.tsv").write_text(f"s\tmax_rss\n{row}\n")
    assert numbers.effort(tmp_path, "demo") == {
        "run/minutes": 2.0,
        "run/sample/s": 7.5,
        "run/sample/mb": 400.0,
    }


def test_hours_of_the_shipped_weights_are_in_their_files():
    found = numbers.trainings()
    assert 0 < found["galaxies32/hours"] < 10 and found["galaxies32/steps"] > 0


def test_quoted_pictures_are_there():
    for path in numbers.texts():
        for line in path.read_text().splitlines():
            if line.startswith("!["):
                assert (path.parent / line.split("](")[1].rstrip(")")).exists()
