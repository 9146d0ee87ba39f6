"""What the user is told on stderr: notices, details, and bars of progress; and how much of it.

Not through logging: Kipoi's configuration drops what any other package logs below CRITICAL.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from tqdm import tqdm

Thing = TypeVar("Thing")
Verbosity = Literal["quiet", "normal", "verbose"]

_DELAY_SECONDS = 1.0
_USUAL_SIZE = (80, 24)

_verbosity: Verbosity = "normal"
_listener: Callable[[int], None] | None = None


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


@contextmanager
def listening(listener: Callable[[int], None]) -> Iterator[None]:
    """Let a function know, in a block, what bars that are left standing count, whether they are seen or not.

    Examples
    --------
    >>> counts = []
    >>> with listening(counts.append), progress("sequences", 3, leave=True) as bar:
    ...     _ = bar.update(2)
    >>> counts
    [2]
    """
    global _listener
    before, _listener = _listener, listener
    try:
        yield
    finally:
        _listener = before


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
    columns, rows = _terminal_size()
    bar: tqdm = _bar_class()(
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
    return bar


@cache
def _bar_class() -> Any:
    from tqdm import tqdm

    class Bar(tqdm):
        # Without tqdm's thread, which looks for stalled bars for as long as the process lives.
        monitor_interval = 0

        def update(self, n: float | None = 1) -> bool | None:
            if self.leave and _listener is not None:
                _listener(int(n or 0))
            return super().update(n)

    return Bar


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
