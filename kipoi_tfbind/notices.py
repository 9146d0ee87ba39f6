"""What the user is told on stderr: notices, details, and bars of progress; and how much of it.

Not through logging: Kipoi's configuration drops what any other package logs below CRITICAL.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Thing = TypeVar("Thing")
Verbosity = Literal["quiet", "normal", "verbose"]

_DELAY_SECONDS = 1.0
_USUAL_SIZE = (80, 24)

_verbosity: Verbosity = "normal"


def notice(message: str) -> None:
    """Tell the user something that the result depends on.

    Examples
    --------
    >>> notice("variants.vcf: 44 of 47 alleles are scored")
    """
    if _verbosity != "quiet":
        print(f"kipoi_tfbind: {message}", file=sys.stderr)


def detail(message: str) -> None:
    """Tell a user who has asked for details something that he can do without.

    Examples
    --------
    >>> with verbosity("verbose"):
    ...     detail("model CTCF: incremental, 83 M of 2,000 M multiply-accumulates")
    """
    if _verbosity == "verbose":
        notice(message)


def is_quiet() -> bool:
    """Whether the user has asked for nothing but errors."""
    return _verbosity == "quiet"


@contextmanager
def verbosity(level: Verbosity) -> Iterator[None]:
    """Say less or more in a block: "quiet" (errors alone), "normal" or "verbose".

    Examples
    --------
    >>> with verbosity("quiet"):
    ...     notice("not shown")
    """
    global _verbosity
    before, _verbosity = _verbosity, level
    try:
        yield
    finally:
        _verbosity = before


def progress(
    description: str, total: int | None = None, *, unit: str = "seq", initial: int = 0, leave: bool = False
) -> tqdm:
    """Bar of progress with the time that is left; seen at a terminal, and after a second.

    Parameters
    ----------
    description
        What is counted.
    total
        How many there will be, where that is known; it may be set later.
    unit
        Name of one.
    initial
        How many are done already.
    leave
        Let the bar stand when it is full.

    Examples
    --------
    >>> with progress("mutants", 3) as bar:
    ...     for _ in range(3):
    ...         _ = bar.update()
    """
    from tqdm import tqdm

    columns, rows = _terminal_size()
    return tqdm(
        desc=description,
        total=total,
        unit=unit,
        initial=initial,
        leave=leave,
        # None: where stderr is no terminal, there is no bar.
        disable=True if is_quiet() else None,
        delay=_DELAY_SECONDS,
        ncols=columns,
        nrows=rows,
    )


def followed(things: Sequence[Thing], description: str, *, unit: str = "seq") -> Iterator[Thing]:
    """Hand on things, one after the other, under a bar of progress.

    Examples
    --------
    >>> list(followed("ACG", "bases"))
    ['A', 'C', 'G']
    """
    with progress(description, len(things), unit=unit) as bar:
        for thing in things:
            yield thing
            bar.update()


def _terminal_size() -> tuple[int, int]:
    """Columns and rows; those of an ordinary terminal where it does not tell, as tqdm would draw nothing."""
    try:
        size = os.get_terminal_size(sys.stderr.fileno())
    except (OSError, ValueError, AttributeError):
        return _USUAL_SIZE
    return (size.columns or _USUAL_SIZE[0], size.lines or _USUAL_SIZE[1])
