"""Kipoi's plugin protocol: ``kipoi tfbind ...``, and errors in one line.

Kipoi's command imports ``cli_main`` of every installed plugin at its start, whatever it is asked to
do; so this module is light, and it is where the whole command can be given its error line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from types import TracebackType

from kipoi_tfbind.errors import TFBindError

TRACEBACK_VARIABLE = "KIPOI_TFBIND_TRACEBACK"


def cli_main(command: str, raw_args: Sequence[str]) -> None:
    """Run ``kipoi tfbind``; Kipoi calls it.

    Parameters
    ----------
    command
        The word after ``kipoi``: "tfbind".
    raw_args
        The arguments after that word.

    Examples
    --------
    >>> try:
    ...     cli_main("tfbind", ["plot", "--help"])
    ... except SystemExit as end:
    ...     print(end.code)  # doctest: +ELLIPSIS
    Usage: kipoi tfbind plot [OPTIONS] RESULT
    ...
    0
    """
    from kipoi_tfbind.cli import main

    main(args=list(raw_args), prog_name=f"kipoi {command}")


def error_line(error: TFBindError) -> str:
    r"""Return the line that is shown for an error instead of its traceback.

    An error in one of Kipoi's loader workers comes with the worker's whole traceback as its text; the
    message is what follows the error's name there.

    Parameters
    ----------
    error
        The error, raised here or by Kipoi on behalf of a worker.

    Returns
    -------
    str
        "error: " and the message, without a line break.

    Examples
    --------
    >>> from kipoi_tfbind.errors import InputError
    >>> error_line(InputError("a.bed, line 3: expected 3 columns, got 1"))
    'error: a.bed, line 3: expected 3 columns, got 1'
    >>> worker_text = "Traceback (most recent call last):\n ...\nkipoi_tfbind.errors.InputError: no such file"
    >>> error_line(InputError(worker_text))
    'error: no such file'
    """
    name = f"\n{type(error).__module__}.{type(error).__qualname__}: "
    message = str(error).rpartition(name)[-1]
    return "error: " + " ".join(message.split("\n")).strip()


def wants_traceback() -> bool:
    """Whether the user asks for tracebacks, by setting KIPOI_TFBIND_TRACEBACK to anything but 0."""
    return os.environ.get(TRACEBACK_VARIABLE, "0") not in ("", "0")


def show_errors_in_one_line() -> None:
    """Let this process end with one line on stderr for a TFBindError; other errors are left as they are."""
    previous = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if isinstance(error, TFBindError) and not wants_traceback():
            print(error_line(error), file=sys.stderr)
        else:
            previous(kind, error, traceback)

    sys.excepthook = excepthook


def _is_kipoi_command() -> bool:
    """Whether this process is ``kipoi ...`` or ``python -m kipoi ...``, and not somebody's own program."""
    main_spec = getattr(sys.modules["__main__"], "__spec__", None)
    return "kipoi.__main__" in (*sys.modules, getattr(main_spec, "name", None))


if _is_kipoi_command():
    show_errors_in_one_line()
