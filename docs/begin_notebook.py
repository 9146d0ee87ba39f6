"""Run at the start of every notebook of the documentation, in an empty folder.

The folder gets what the root of a checkout has, so that the commands of a page are those that a reader types
there, and what they write does not end up in the repository.
"""

import os as _os
import warnings as _warnings
from pathlib import Path as _Path

from IPython import get_ipython as _get_ipython

_root = _Path(_os.environ["KIPOI_TFBIND_ROOT"])
for _name in ("model_zoo", "demo", "dataloaders", "tests", "benchmarks", "workflow"):
    if (_root / _name).exists() and not _Path(_name).exists():
        _Path(_name).symlink_to(_root / _name)

# The package's own environment for commands; pictures go into the page, those of commands into files.
_get_ipython().run_line_magic("matplotlib", "inline")
_os.environ["PATH"] = f"{_root / '.venv' / 'bin'}{_os.pathsep}{_os.environ['PATH']}"
_os.environ["MPLBACKEND"] = "Agg"
_os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
_warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy keyword")
_warnings.filterwarnings("ignore", "IProgress not found")


def _bash(options: str, script: str) -> None:
    """Run a cell of shell commands, and print what it wrote in one piece: IPython's own breaks lines."""
    import subprocess
    import sys

    ran = subprocess.run(["bash", *options.split(), "-c", script], capture_output=True, text=True)
    print(ran.stdout, end="")
    print(ran.stderr, end="", file=sys.stderr)
    ran.check_returncode()


_get_ipython().register_magic_function(_bash, "cell", "bash")
