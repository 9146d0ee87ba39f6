"""Checks of arguments that every part of the package has: whole numbers that the files can hold."""

import os
from typing import Any

import numpy as np

from kipoi_tfbind.errors import InputError

# Results are written with integers of 64 bits.
LARGEST = 2**63 - 1


def file_name(name: str, value: Any) -> str:
    """Take an argument that has to be the name of a file.

    Raises
    ------
    InputError
        It is none.

    Examples
    --------
    >>> file_name("fasta", "hg19.fa")
    'hg19.fa'
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name}: expected the name of a file, got {value!r}")
    return os.fspath(value)


def whole_number(name: str, value: Any, *, least: int | None = 0) -> int:
    """Take an argument that has to be a whole number of no more than 64 bits.

    Parameters
    ----------
    name
        Of the argument, for the message.
    value
        The argument.
    least
        Smallest that is taken; None where another check says so.

    Raises
    ------
    InputError
        It is none, too small, or too large.

    Examples
    --------
    >>> whole_number("batch_size", 256, least=1)
    256
    >>> whole_number("start", 1.5)
    Traceback (most recent call last):
    kipoi_tfbind.errors.InputError: start: expected a whole number from 0 on, got 1.5
    """
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or (least == 0 and value < 0):
        bound = "" if least is None else f" from {least} on"
        raise InputError(f"{name}: expected a whole number{bound}, got {value!r}")
    if least is not None and value < least:
        raise InputError(f"{name}: expected at least {least}, got {value}")
    if abs(value) > LARGEST:
        raise InputError(f"{name}: expected a whole number of no more than 64 bits, got {value}")
    return int(value)
