"""The documentation as a site: it builds without a warning and without a network, and a browser shows it whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.helpers.browser import CHROMIUM
from tests.helpers.site import visit
from tests.helpers.workflow import LIMIT, ROOT

pytestmark = pytest.mark.slow
in_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
# every page: what does not fit, what is not drawn
LOOK = """
const math = [...document.querySelectorAll(".math.notranslate")];
if (math.length) await MathJax.startup.promise;
const images = [...document.querySelectorAll("article img")];
await Promise.all(images.map(image => image.decode()));
return {
  title: document.querySelector("h1").innerText.replace(/[¶#]/g, "").trim(),
  text: document.querySelector("article").innerText,
  images: images.map(image => image.naturalWidth),
  equations: math.length,
  drawn: document.querySelectorAll("mjx-container svg").length,
  failed: document.querySelectorAll("mjx-merror, [data-mml-node=merror]").length,
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
};
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make site` builds it, from the sources as they are; the tutorial is executed."""
    folder = tmp_path_factory.mktemp("site") / "html"
    line = next(line for line in (ROOT / "Makefile").read_text().splitlines() if "sphinx-build" in line)
    command = [sys.executable, "-m", "sphinx", *line.split()[1:-1], str(folder)]
    assert "--fail-on-warning" in command and command[-2] == "docs"
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return folder


class Loads(HTMLParser):
    """Addresses that a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        if tag in LOADED and (address := about.get(LOADED[tag])):
            self.found.append(address)


def test_every_page_is_built_and_loads_nothing_from_a_network(site):
    sources = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    for name in sources - {Path("README")}:
        parser = Loads()
        parser.feed((site / name).with_suffix(".html").read_text(encoding="utf-8"))
        assert len(parser.found) > 5
        assert not [address for address in parser.found if "//" in address], name
        for address in parser.found:
            assert (site / name.parent / address.partition("?")[0]).exists(), (name, address)
    for path in site.rglob("*.css"):
        assert not re.findall(
            r"(?:@import|url\()\s*['\"]?(?:https?:)?//", path.read_text(encoding="utf-8")
        ), path


def test_the_tutorial_was_executed_and_its_checks_hold(site):
    text = (site / "tutorial" / "first-posterior.html").read_text(encoding="utf-8")
    chi2, spread = map(float, re.search(r"chi2 per datum ([\d.]+), expected 1 \+- ([\d.]+)", text).groups())
    assert abs(chi2 - 1) < 3 * spread
    z2, error = map(float, re.search(r"mean squared z ([\d.]+) \+- ([\d.]+):", text).groups())
    assert abs(z2 - 1) < 4 * error
    radius = float(re.search(r"Einstein radius ([\d.]+) arcsec", text)[1])
    assert radius == pytest.approx(1.4, abs=0.02)
    assert text.count("image/png") + len(re.findall(r'<img[^>]+src="\.\./_images/[0-9a-f]{40,}', text)) >= 3


def test_the_example_of_an_own_model_is_near_its_exact_posterior(site):
    text = (site / "how-to" / "own-model.html").read_text(encoding="utf-8")
    bias, scatter = map(
        float, re.search(r"bias of the mean ([\d.]+) standard.*?draws: ([\d.]+)\)", text).groups()
    )
    assert bias < 3 * scatter
    assert 0.9 < float(re.search(r"width ([\d.]+) of the exact one", text)[1]) < 1.1


def test_the_interface_is_documented(site):
    """Every name of `__all__` of the public modules that is a class or a function."""
    import importlib

    for module in ("priors", "operators", "likelihoods", "samplers", "validation", "problems", "io"):
        text = (site / "reference" / "api" / f"{module}.html").read_text(encoding="utf-8")
        found = importlib.import_module(f"skyscore.{module}")
        for name in found.__all__:
            if callable(getattr(found, name)):
                assert f'id="skyscore.{module}.{name}"' in text, f"{module}.{name}"
        # a property whose first line holds a colon: what is before it would be taken for a type
        assert not re.search(
            r'>Type<span class="colon">:</span></dt>\s*<dd[^>]*><p>[^<]*\s[^<]*\s[^<]*\s', text
        ), module
    assert 'id="skyscore.observe"' in (site / "reference" / "api" / "observe.html").read_text(
        encoding="utf-8"
    )


@in_browser
@pytest.mark.parametrize(
    ("page", "title", "equations", "images"),
    [
        ("index.html", "skyscore", 0, 1),
        ("tutorial/first-posterior.html", "From a FITS file to a posterior that is checked", 0, 3),
        ("reference/samplers/guidance.html", "Samplers: guidance", 10, 0),
        ("reference/problems.html", "Problems: forward models, noise and checks", 8, 0),
        ("reference/api/samplers.html", "Samplers: skyscore.samplers", 0, 0),
        ("explanation/samplers-compared.html", "Which sampler to use", 0, 2),
        ("gallery.html", "Gallery", 0, 15),
    ],
)
def test_a_page_is_shown_whole(site, tmp_path, page, title, equations, images):
    found, errors = visit(site, page, LOOK, tmp_path)
    assert errors == []
    assert found["title"] == title
    assert len(found["images"]) >= images and all(width > 100 for width in found["images"])
    assert found["equations"] >= equations and found["drawn"] == found["equations"] and found["failed"] == 0
    assert found["overflow"] <= 0, "the page is wider than the window"
    assert "[[[cog" not in found["text"] and "<!--" not in found["text"] and "{eval-rst}" not in found["text"]


@in_browser
def test_the_search_finds_a_page(site, tmp_path):
    script = """
    const summary = () => document.querySelector("#search-results .search-summary")?.innerText ?? "";
    for (let i = 0; !/found \\d+/.test(summary()); i++) {
      if (i > 1200) throw Error(`never finished: ${summary()}`);
      await new Promise(done => setTimeout(done, 50));
    }
    return [...document.querySelectorAll("#search-results li a")].map(link => link.innerText);
    """
    page = site / "search.html"
    text = page.read_text(encoding="utf-8")
    asked = "<script>history.replaceState(null, '', '?q=calibrated');</script>"
    page.write_text(text.replace("<head>", f"<head>{asked}", 1), encoding="utf-8")
    try:
        found, errors = visit(site, "search.html", script, tmp_path)
    finally:
        page.write_text(text, encoding="utf-8")
    assert errors == [] and "When to believe a posterior" in found
