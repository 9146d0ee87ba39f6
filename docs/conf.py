"""Configuration of Sphinx; `make docs` builds the site in docs/_build/html, see CONTRIBUTING.md."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import kipoi_tfbind

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import write_reference  # noqa: E402

write_reference.write_all()

project = "kipoi_tfbind"
author = "The authors of kipoi_tfbind"
version = release = kipoi_tfbind.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "myst_nb",
    "sphinx_click",
    "sphinx_copybutton",
    "sphinx_design",
]
exclude_patterns = ["_build"]
nitpicky = True

# The reference, from docstrings.
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True  # that of the layers, which are written as Keras' are
napoleon_use_ivar = True  # an attribute of a named tuple is described once
default_role = "py:obj"
nitpick_ignore_regex = [
    ("py:obj", r".*"),  # a word in single backticks is a link where it is a public name
    (
        "py:class",
        r"(?!kipoi_tfbind).*|kipoi_tfbind\.(?!\w+$).*",
    ),  # types of other packages, and of ours in hints
]

# Pages are in MyST; those that begin with a Jupytext header are notebooks, which are run.
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = os.environ.get("DOCS_EXECUTION", "force")
if nb_execution_mode == "off":  # pages and links only: a notebook that is not run says no language
    suppress_warnings = ["myst-nb.lexer"]
nb_execution_timeout = 600  # of one cell; a busy machine is slow
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_execution_cache_path = str(HERE / "_build" / "notebooks")
nb_execution_excludepatterns = os.environ.get("DOCS_NOT_RUN", "").split()

# What every notebook's process begins with, and where its IPython writes.
_profile = HERE / "_build" / "ipython"
os.environ["IPYTHONDIR"] = str(_profile)
os.environ["KIPOI_TFBIND_ROOT"] = str(HERE.parent)
_startup = _profile / "profile_default" / "startup"
_startup.mkdir(parents=True, exist_ok=True)
(_startup / "00_begin.py").write_text((HERE / "begin_notebook.py").read_text())
(_startup.parent / "ipython_kernel_config.py").write_text("c.IPKernelApp.log_level = 40\n")

html_theme = "pydata_sphinx_theme"
html_title = f"kipoi_tfbind {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options: dict[str, Any] = {
    "show_prev_next": True,
    "navbar_align": "left",
    "header_links_before_dropdown": 7,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "glossary": [], "gallery": [], "changelog": []}
copyright = "MIT licence"
copybutton_exclude = ".linenos, .gp, .go"


def link_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.TextElement
) -> nodes.reference | None:
    """A link for a name such as `deep_shap`, to that of the names that end so with the fewest parts."""
    if node.get("refdomain") != "py":
        return None
    objects = env.domains.python_domain.objects
    last = node["reftarget"].removesuffix("()").rpartition(".")[2]
    of_that_name = [name for name in objects if name.rpartition(".")[2] == last]
    found = sorted(of_that_name, key=lambda name: name.count("."))
    if not found or not (last in kipoi_tfbind.__all__ or found[0].startswith("kipoi_tfbind.errors.")):
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, text, found[0])


def setup(app: Sphinx) -> None:
    """Enter what this file adds to Sphinx."""
    app.connect("missing-reference", link_public_name)
