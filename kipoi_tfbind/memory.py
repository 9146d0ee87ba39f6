"""Memory that the arrays of one step may take, so that steps are made smaller before anything runs."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from kipoi_tfbind.errors import InputError

VARIABLE = "KIPOI_TFBIND_MEMORY"
# Of what is free: the frameworks keep some of their own, and so does whatever else runs.
_SHARE = 0.5
_LEAST = 256 << 20
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_CGROUP = Path("/sys/fs/cgroup")

_chosen: int | None = None


def memory_budget() -> int:
    """Bytes that arrays of one step may take: what was set, or half of what is free now.

    Set it by `set_memory_budget`, by ``--memory`` of the commands, or by the variable KIPOI_TFBIND_MEMORY.

    Examples
    --------
    >>> memory_budget() > 0
    True
    """
    if _chosen is not None:
        return _chosen
    if os.environ.get(VARIABLE):
        return parse_bytes(os.environ[VARIABLE], VARIABLE)
    return max(int(_free() * _SHARE), _LEAST)


def chosen_memory_budget() -> int | None:
    """Bytes that were set; None where they go by what is free.

    Examples
    --------
    >>> chosen_memory_budget() is None
    True
    """
    return _chosen


def set_memory_budget(budget: str | int | None) -> None:
    """Set how much memory the arrays of one step may take.

    Parameters
    ----------
    budget
        Bytes, or a text such as "4G"; None for half of what is free.

    Raises
    ------
    InputError
        It is neither.
    """
    global _chosen
    _chosen = None if budget is None else parse_bytes(budget)


def parse_bytes(text: str | int, name: str = "memory") -> int:
    """Read a number of bytes, such as "4G" or "500M" (powers of 1,024).

    Raises
    ------
    InputError
        It is none, or none at all.

    Examples
    --------
    >>> parse_bytes("1.5G")
    1610612736
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", str(text), re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if size < 1:
        raise InputError(f"{name}: expected a number of bytes such as 4G or 500M, got {text!r}")
    return size


def check_fits(name: str, what: str, n_bytes: float, advice: str) -> None:
    """Refuse arrays that would take more than the budget.

    Raises
    ------
    InputError
        They do not fit; the message has the bytes that they would take.

    Examples
    --------
    >>> check_fits("n_references", "20 references", 320_000, "take fewer")
    """
    budget = memory_budget()
    if n_bytes > budget:
        raise InputError(
            f"{name}: {what} take {spelled(n_bytes)}, and arrays may take {spelled(budget)}; {advice}, or "
            "allow more (--memory, KIPOI_TFBIND_MEMORY)"
        )


def spelled(n_bytes: float) -> str:
    """Bytes in a message.

    Examples
    --------
    >>> spelled(3_500_000_000), spelled(1.6e16)
    ('3.5 GB', '16,000 TB')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.2g} {unit}" if n_bytes < 10 * size else f"{n_bytes / size:,.0f} {unit}"
    return f"{n_bytes:,.0f} bytes"


def _free() -> int:
    """Bytes that are free: of the machine, or of what this process's group may take."""
    found = [1 << 33]
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found = [int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) << 10]
    with suppress(OSError, ValueError):
        # The text "max" means that there is no limit.
        limit = int((_CGROUP / "memory.max").read_text())
        found.append(limit - int((_CGROUP / "memory.current").read_text()))
    return max(min(found), 0)
