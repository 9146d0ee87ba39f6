#!/usr/bin/env bash
# Make a machine ready: a virtual environment with the package in it, and bedtools.
#
#   scripts/set_up.sh VENV          what the package itself needs
#   scripts/set_up.sh VENV test     and what its checks and tests need: chromium and Snakemake too
#
# PYTHON=/path/to/python chooses the interpreter. Asks nothing; installs system packages only as root
# or where sudo needs no password.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
what=${2:-package}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
export DEBIAN_FRONTEND=noninteractive

say() { echo "set-up: $*" >&2; }

have() { command -v "$1" >/dev/null 2>&1; }

# The versions that setup.cfg allows; what stops at 3.14 is Kipoi.
is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        have sudo && sudo -n "$@"
    fi
}

# Install a package of the system's; fails, without output, where that is not possible.
install_system_package() {
    if have apt-get; then
        as_root apt-get -qq update </dev/null >/dev/null 2>&1 || true
        as_root apt-get -qq install -y --no-install-recommends "$1" </dev/null >/dev/null 2>&1
    elif have brew; then
        brew install --quiet "$1" </dev/null >/dev/null 2>&1
    else
        return 1
    fi
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if have "$candidate" && is_supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

make_venv() {
    local python
    if [ -x "$venv/bin/python" ] && is_supported "$venv/bin/python" && [ -x "$venv/bin/pip" ]; then
        return
    fi
    if ! python=$(find_python); then
        if have uv; then
            # uv brings a Python along. --seed: torch is installed with pip.
            uv venv --quiet --seed --clear --python '>=3.11,<3.14' "$venv"
            return
        fi
        say "no Python 3.11, 3.12 or 3.13 here" \
            "(${PYTHON:-python3}: $("${PYTHON:-python3}" --version 2>/dev/null || echo not found))." \
            "Kipoi 0.8.6 does not run on 3.14 and newer. Install one of them, or name it:" \
            "make PYTHON=/path/to/python3.12 ..."
        exit 1
    fi
    if have uv; then
        uv venv --quiet --seed --clear --python "$(command -v "$python")" "$venv"
    elif ! "$python" -c 'import ensurepip' 2>/dev/null && ! install_system_package python3-venv; then
        say "$python cannot make a virtual environment. Install its venv module" \
            "(Debian, Ubuntu: apt-get install python3-venv), and call make again."
        exit 1
    else
        "$python" -m venv --clear "$venv"
    fi
}

pip_install() {
    "$venv/bin/python" -m pip install -qq "$@"
}

install_packages() {
    local requirement=.
    [ "$what" = test ] && requirement='.[test,motifs]'
    say "installing the package and what it needs into $venv (some minutes at the first time)"
    # uv does not read pip's configuration; where that names the only reachable index, pip it is.
    if ! have uv || ! uv pip install --quiet --python "$venv/bin/python" -e "$requirement"; then
        pip_install -e "$requirement"
    fi
    # With pip also beside uv, which takes the build for CUDA: gigabytes.
    if [ "$what" = test ]; then
        pip_install -e '.[torch]'
    fi
}

# bedtools is no Python package. What needs it says so; the rest works without.
install_bedtools() {
    local conda
    if have bedtools || [ -x "$venv/bin/bedtools" ] || install_system_package bedtools; then
        return
    fi
    for conda in micromamba mamba conda; do
        if have "$conda" && "$conda" create --yes --quiet --prefix "$venv/conda" \
            --channel conda-forge --channel bioconda bedtools </dev/null >/dev/null 2>&1; then
            ln -sf ../conda/bin/bedtools "$venv/bin/bedtools"
            return
        fi
    done
    say "bedtools is not installed, and cannot be installed from here." \
        "Only training needs it; its tests are skipped by name. To have it:" \
        "apt-get install bedtools, brew install bedtools, or conda install -c bioconda bedtools."
}

# For the tests of the report, which is a page.
install_chromium() {
    local program
    for program in chromium chromium-browser google-chrome; do
        have "$program" && return
    done
    install_system_package chromium ||
        say "chromium is not installed, and cannot be installed from here; the tests that need it are skipped."
}

# For the test of the workflow. Snakemake needs newer attrs than Kipoi allows: in an environment of its own.
install_snakemake() {
    local own=.venv-snakemake version=9.27.1
    [ "$("$own/bin/snakemake" --version 2>/dev/null)" = "$version" ] && return
    "$venv/bin/python" -m venv --clear "$own" &&
        "$own/bin/python" -m pip install -qq --no-compile "snakemake==$version" ||
        say "snakemake cannot be installed from here; the test of the workflow is skipped."
}

make_venv
install_packages
install_bedtools
if [ "$what" = test ]; then
    install_snakemake
    install_chromium
fi
exit 0
