"""What all runs of pytest share: optional extras, the order of the files, and how much memory was used.

Modules whose framework is an optional extra are not looked at for doctests where it is missing.
"""

from __future__ import annotations

import resource
import sys
from collections import Counter
from importlib.util import find_spec
from typing import Any

import pytest

_NEEDS = {"kipoi_tfbind/backends/jax.py": "jax", "kipoi_tfbind/backends/onnx_module.py": "onnx"}
collect_ignore = [path for path, name in _NEEDS.items() if find_spec(name) is None]

_peaks: list[str] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In several processes: files with slow tests first, then those with many, so that none is left alone."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        n_tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (item.path not in slow, -n_tests[item.path], str(item.path)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the first process how much memory this one had at most, and the largest of what it started."""
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        unit = 1 if sys.platform == "darwin" else 1024
        peaks = (
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        output["peaks"] = [unit * peak / 1e9 for peak in peaks]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Keep what a process of pytest-xdist has told."""
    own, started = getattr(node, "workeroutput", {}).get("peaks", (float("nan"),) * 2)
    _peaks.append(
        f"{node.gateway.id}: at most {own:.2f} GB, and {started:.2f} GB in a program that it started"
    )


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the memory of each process."""
    for line in sorted(_peaks):
        terminalreporter.write_line(line)
