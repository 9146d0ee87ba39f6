# `make demo` and `make test` need nothing beforehand but a Python: scripts/set_up.sh does the rest,
# once, and again when what it installs has changed.
#
#   make demo    predictions and an interpretation, offline, on the files of the repository
#   make test    linters, type checker, all tests
#   make lint    linters and type checker only
#   make format  rewrite the code as the linters want it
#   make docs    the reference of the Python interface, as HTML in docs/_build
#   make clean   remove what the other targets made
#
# PYTHON=/path/to/python chooses the interpreter; PYTEST_ARGS is handed to pytest ("" for one process).

VENV := .venv
PYTEST_ARGS ?= -n 2 --dist loadfile
INSTALLED_FROM := setup.cfg setup.py pyproject.toml kipoi_tfbind.pth scripts/set_up.sh

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHON
# TensorFlow's notes on this machine's CPU and GPU are not ours to print.
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test lint format docs clean

demo: $(VENV)/.package-installed
	@bash demo/run.sh

test: lint
	@pytest $(PYTEST_ARGS)

lint: $(VENV)/.test-installed
	@ruff check --quiet .
	@ruff format --quiet --check .
	@mypy

format: $(VENV)/.test-installed
	@ruff check --fix .
	@ruff format .

docs: $(VENV)/.package-installed
	@pip install -qq -e '.[docs]'
	@sphinx-build -q -b html docs docs/_build

$(VENV)/.package-installed: $(INSTALLED_FROM)
	@scripts/set_up.sh $(VENV)
	@touch $@

$(VENV)/.test-installed: $(INSTALLED_FROM)
	@scripts/set_up.sh $(VENV) test
	@touch $(VENV)/.package-installed $@

clean:
	rm -rf $(VENV) docs/_build build dist *.egg-info demo/output .pytest_cache .mypy_cache .ruff_cache .hypothesis
