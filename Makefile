# `make demo` and `make test` need nothing beforehand but a Python: scripts/set_up.sh does the rest,
# once, and again when what it installs has changed.
#
#   make demo    predictions and an interpretation, offline, on the files of the repository
#   make test    linters, type checker, all tests (scripts/run_tests.sh)
#   make lint    linters and type checker only
#   make format  rewrite the code as the linters want it
#   make docs    the documentation as a folder of HTML, docs/_build/html: runs what its pages run, checks
#                links, examples and spelling (DOCS_EXECUTION=cache runs only what changed)
#   make clean   remove what the other targets made
#
# PYTHON=/path/to/python chooses the interpreter; PYTEST_ARGS is handed to pytest ("" for one process
# at a time).

VENV := .venv
DOCS_VENV := .venv-docs
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder
INSTALLED_FROM := setup.cfg setup.py pyproject.toml kipoi_tfbind.pth scripts/set_up.sh

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHON
# TensorFlow's notes on this machine's CPU and GPU are not ours to print.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test lint format docs clean

demo: $(VENV)/.package-installed
	@bash demo/run.sh

test: lint
	@scripts/run_tests.sh $(PYTEST_ARGS)

lint: $(VENV)/.test-installed
	@ruff check --quiet .
	@ruff format --quiet --check .
	@mypy

format: $(VENV)/.test-installed
	@ruff check --fix .
	@ruff format .

docs: $(DOCS_VENV)/.installed
	@codespell docs README.md CHANGELOG.md CONTRIBUTING.md kipoi_tfbind
	@pytest -q --doctest-glob='*.md' $$(find docs -name '*.md' -not -path 'docs/_build/*')
	@sphinx-build -q -W --keep-going -b html docs docs/_build/html
	@python docs/check_site.py docs/_build/html

docs: export PATH := $(CURDIR)/$(DOCS_VENV)/bin:$(PATH)

$(VENV)/.package-installed: $(INSTALLED_FROM)
	@scripts/set_up.sh $(VENV)
	@touch $@

$(VENV)/.test-installed: $(INSTALLED_FROM)
	@scripts/set_up.sh $(VENV) test
	@touch $(VENV)/.package-installed $@

$(DOCS_VENV)/.installed: $(VENV)/.test-installed docs/requirements.txt docs/peers.txt scripts/set_up_docs.sh
	@scripts/set_up_docs.sh $(VENV) $(DOCS_VENV)
	@touch $@

clean:
	rm -rf $(VENV) $(DOCS_VENV) .venv-snakemake docs/reference docs/models docs/_build build dist *.egg-info demo/output .pytest_cache .mypy_cache .ruff_cache .hypothesis
