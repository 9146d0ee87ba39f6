"""Kipoi's plugin protocol: ``kipoi tfbind ...``, and errors in one line.

Kipoi's command imports ``cli_main`` of every installed plugin at its start, whatever it is asked to
do; so this module is light, and it is where the whole command can be given its error line.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType

from kipoi_tfbind.errors import TFBindError, error_line, wants_traceback


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
