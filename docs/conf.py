"""Settings of the documentation site: `make site`. No page needs a network, neither to build nor to read."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

project = "skyscore"
author = "The skyscore authors"
copyright = author
root_doc = "index"
exclude_patterns = ["README.md", "make", "examples"]
extensions = [
    "myst_nb",  # pages in Markdown; the tutorial is executed
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",  # "Arguments:", "Returns:", "Raises:" of the docstrings
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
]

html_theme = "furo"
html_title = "skyscore"
html_copy_source = False
# MathJax in one file of the site: without this line Sphinx asks a network for it
MATHJAX = (
    Path(importlib.util.find_spec("sphinx-mathjax-offline").origin).with_name("static")
    / "mathjax"
    / "tex-svg.js"
)
html_static_path = [str(MATHJAX), "site.css"]
html_css_files = ["site.css"]
mathjax_path = MATHJAX.name
html_show_sphinx = False

toc_object_entries_show_parents = "hide"
default_role = "code"  # single backticks of the docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 3600  # a slow machine
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type"]
