"""Modules whose framework is an optional extra are not looked at for doctests where it is missing."""

from importlib.util import find_spec

_NEEDS = {"kipoi_tfbind/backends/jax.py": "jax", "kipoi_tfbind/backends/onnx_module.py": "onnx"}
collect_ignore = [path for path, name in _NEEDS.items() if find_spec(name) is None]
