"""Configuration of Sphinx: the reference of the Python interface, from its docstrings."""

project = "kipoi_tfbind"
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
# An attribute of a named tuple is described once.
napoleon_use_ivar = True
html_theme = "alabaster"
exclude_patterns = ["_build"]
