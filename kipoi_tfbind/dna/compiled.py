"""Loops over bases, compiled by numba.

Imported by the modules of such loops alone, so that numba is imported with the first of them that runs.
"""

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call, and keep what was compiled for the next process."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written: compile in every process.
        return numba.njit(nogil=True)(function)
