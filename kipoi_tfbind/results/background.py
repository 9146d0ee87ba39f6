"""Reading ahead and writing behind: threads beside the one that a model computes in.

A model is called in one thread alone. What is read and what is written go through short queues, in order, so
that results and their order are those of one thread.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

# Items that wait in a queue: a block of lines and its scores each.
_WAITING = 2
_END = object()


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """Items of an iterable, which is read in a thread of its own while the items before are looked at.

    An error of the iterable is raised where the item would have come.

    Examples
    --------
    >>> list(read_ahead(range(3)))
    [0, 1, 2]
    """
    found: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(_WAITING)
    stopped = threading.Event()

    def put(item: Any, error: BaseException | None = None) -> None:
        while not stopped.is_set():
            try:
                return found.put((item, error), timeout=0.2)
            except queue.Full:
                continue

    def read() -> None:
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    return
        except BaseException as error:  # raised again in the thread that asks for items
            put(_END, error)
        else:
            put(_END)

    # A daemon: a pipe that nothing comes from must not keep an interrupted program from ending.
    threading.Thread(target=read, name="read_ahead", daemon=True).start()
    try:
        while True:
            item, error = found.get()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()


class WriteBehind:
    """Calls of functions in a thread of its own, in order.

    An error is raised by the next call, or at the end. Leaving the context waits for all calls, also after an
    error elsewhere: what was done is kept.

    Examples
    --------
    >>> done = []
    >>> with WriteBehind() as writer:
    ...     for i in range(3):
    ...         writer.call(lambda i=i: done.append(i))
    >>> done
    [0, 1, 2]
    """

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], object] | None] = queue.Queue(_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="write_behind", daemon=True)

    def call(self, function: Callable[[], object]) -> None:
        """Call a function when those before it are done; waits where too many are not."""
        self._raise()
        self._calls.put(function)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._calls.put(None)
        self._thread.join()
        if error is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        failed = False
        while (function := self._calls.get()) is not None:
            if failed:  # nothing is written after what could not be
                continue
            try:
                function()
            except BaseException as error:  # raised again in the thread that writes
                self._error, failed = error, True
