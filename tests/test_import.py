"""Importing the package is cheap, since every start of ``kipoi`` imports it; public names are all there."""

import subprocess
import sys

import kipoi_tfbind

CODE = """
import sys, time
start = time.perf_counter()
import kipoi_tfbind
print(time.perf_counter() - start)
FRAMEWORKS = "tensorflow torch keras jax numba xarray shap".split()
print(*(name for name in FRAMEWORKS if name in sys.modules))
"""


def test_importing_the_package_loads_no_framework() -> None:
    ran = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    seconds, loaded = ran.stdout.splitlines()
    assert loaded == ""
    # It takes some 5 milliseconds; a framework takes seconds.
    assert float(seconds) < 0.3


def test_every_public_name_can_be_imported() -> None:
    for name in kipoi_tfbind.__all__:
        assert getattr(kipoi_tfbind, name) is not None
