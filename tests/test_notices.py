"""Notices and bars of progress."""

from __future__ import annotations

import threading

from kipoi_tfbind.notices import followed, listening, progress


def test_bars_leave_no_threads_behind() -> None:
    before = threading.active_count()
    for _ in range(3):
        assert list(followed("ACG", "bases")) == list("ACG")
    assert threading.active_count() == before


def test_only_bars_that_are_left_standing_are_listened_to() -> None:
    counts: list[int] = []
    with listening(counts.append):
        for leave in (True, False):
            with progress("sequences", 3, leave=leave) as bar:
                bar.update(2)
    assert counts == [2]
