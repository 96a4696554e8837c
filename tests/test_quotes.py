"""Numbers in the documentation are those of the recorded runs."""

import pytest

from skyscore import quotes


@pytest.mark.parametrize("path", quotes.texts(), ids=lambda path: path.name)
def test_texts_quote_their_records(path):
    text = path.read_text()
    assert quotes.filled(text, quotes.records()) == text, f"{path.name}: run `make docs`"


def test_a_number_without_a_record_is_an_error():
    with pytest.raises(KeyError, match="demo:a/b is quoted"):
        quotes.filled("<!-- demo:a/b:.2f -->1<!-- -->", {"demo": {}})


def test_nested_records_are_flat():
    assert quotes.flat({"a": {"b": 1.5}, "provenance": {"x": 1}, "t": "text"}) == {"a/b": 1.5}
    assert (
        quotes.filled("<!-- r:a/b:.1f -->?<!-- -->", {"r": {"a/b": 1.5}}) == "<!-- r:a/b:.1f -->1.5<!-- -->"
    )


def test_quoted_pictures_are_there():
    for path in quotes.texts():
        for line in path.read_text().splitlines():
            if line.startswith("!["):
                assert (path.parent / line.split("](")[1].rstrip(")")).exists()
