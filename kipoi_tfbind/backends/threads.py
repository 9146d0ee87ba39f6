"""Number of threads of the frameworks, chosen before they start or after."""

from __future__ import annotations

import os
import sys

# What TensorFlow, OpenMP (PyTorch, scikit-learn) and the libraries of linear algebra ask for at their start.
_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)

_chosen: int | None = None


def set_threads(n: int | None) -> None:
    """Let the frameworks use so many threads.

    TensorFlow takes it when it is first used, and cannot be told later; the others at any time.

    Parameters
    ----------
    n
        Threads; None leaves all as it is.

    Examples
    --------
    >>> set_threads(None)
    """
    global _chosen
    _chosen = n
    if n is None:
        return
    os.environ.update(dict.fromkeys(_VARIABLES, str(n)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(n)


def threads() -> int | None:
    """Number of threads that was chosen; None where none was.

    Examples
    --------
    >>> threads() is None
    True
    """
    return _chosen
