"""Reading ahead and writing behind: order, errors, and what is left when the user goes away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import pytest

from kipoi_tfbind.results.background import WriteBehind, read_ahead


def failing(n: int) -> Iterator[int]:
    yield from range(n)
    raise ValueError("the disk is gone")


def write_all(items: Iterable[int], write: Callable[[int], None]) -> None:
    with WriteBehind() as writer:
        for item in items:
            writer.call(partial(write, item))


def n_threads(name: str) -> int:
    return sum(thread.name == name for thread in threading.enumerate())


def wait_for_none(name: str) -> None:
    limit = time.time() + 10
    while n_threads(name) and time.time() < limit:
        time.sleep(0.01)
    assert not n_threads(name)


def test_items_come_in_order_and_the_error_where_it_was() -> None:
    items = read_ahead(failing(7))
    assert [next(items) for _ in range(7)] == list(range(7))
    with pytest.raises(ValueError, match="the disk is gone"):
        next(items)
    wait_for_none("read_ahead")


def test_the_reader_ends_when_nobody_listens() -> None:
    items = read_ahead(iter(range(10**9)))
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    wait_for_none("read_ahead")


def test_nothing_is_written_after_what_could_not_be() -> None:
    done: list[int] = []

    def write(i: int) -> None:
        if i == 3:
            raise OSError("full")
        done.append(i)

    with pytest.raises(OSError, match="full"):
        write_all(range(100), write)
    assert done == [0, 1, 2]
    assert not n_threads("write_behind")


def test_what_was_given_is_written_also_when_the_reader_fails() -> None:
    done: list[int] = []
    with pytest.raises(ValueError, match="the disk is gone"):
        write_all(failing(3), done.append)
    assert done == [0, 1, 2]
