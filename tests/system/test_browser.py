"""The browser that looks at the report notices what is wrong with a page."""

from __future__ import annotations

import pytest

from tests.helpers.browser import CHROMIUM, browse

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
WRONG = {
    "a script that throws": "<script>throw new Error('broken')</script>",
    "a message of its own": "<script>console.error('broken')</script>",
    "an image that is not there": "<img src='absent.png'>",
    "a script from a network": "<script src='https://example.org/script.js'></script>",
}


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_a_broken_page_is_noticed(tmp_path, content):
    page = tmp_path / "broken.html"
    page.write_text(f"<html><head></head><body><p>text</p>{content}</body></html>")
    found, errors = browse(page, "return document.querySelector('p').innerText;", tmp_path)
    assert found == "text"
    assert len(errors) == 1


def test_a_good_page_is_read_without_complaint(tmp_path):
    page = tmp_path / "good.html"
    page.write_text(
        "<html><head></head><body><p>a &lt; b &amp; c</p><script>console.log('said')</script></body></html>"
    )
    assert browse(page, "return document.querySelector('p').innerText;", tmp_path) == ("a < b & c", [])
