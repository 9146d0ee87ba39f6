#!/usr/bin/env bash
# Make the environment that builds the documentation: a layer over that of the package.
#
#   scripts/set_up_docs.sh VENV DOCS_VENV
#
# What DOCS_VENV has of its own comes first, all else from VENV: so the newer attrs of Jupyter's tools is beside
# Kipoi's, which commands that the pages run, from VENV/bin, keep.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=$1
layer=$2
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

echo "set-up: installing what builds the documentation into $layer" >&2
"$venv/bin/python" -m venv --clear --without-pip "$layer"
below=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$layer/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# addsitedir also reads the .pth files there: Kipoi's hook, and an editable install.
echo "import site; site.addsitedir('$below')" >"$own/_below.pth"

# pip ends well, but says that Kipoi asks for an older attrs, which is why this environment is there.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! "$layer/bin/python" -m pip install -qq -r docs/requirements.txt 2>"$log" ||
    ! "$layer/bin/python" -m pip install -qq --no-deps -r docs/peers.txt 2>>"$log"; then
    cat "$log" >&2
    exit 1
fi
